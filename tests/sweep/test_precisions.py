"""Studies of different precisions in one process, one after another."""

from typing import Any

import pytest
import torch

from sweep.single import run_single
from sweep.stage.trainer import join_lane
from sweep.study.schema import Study


def study_in(precision: str) -> Study:
    return Study.from_dict(
        {
            "name": "precise",
            "benchmark": {"name": "world", "tasks": ["shapes", "colors"], "train": 16, "test": 8},
            "backbones": ["tiny-clip"],
            "methods": ["finetune"],
            "training": {"steps": 2, "batch_size": 8, "lr": 0.01, "precision": precision},
        }
    )


def trained_in(precision: str) -> dict[str, Any]:
    _, state = run_single(study_in(precision), "finetune", ("colors",))
    assert state is not None
    return state


@pytest.mark.parametrize("first", ["bf16", "fp32"])
def test_each_study_is_trained_in_its_own(first: str) -> None:
    other = {"bf16": "fp32", "fp32": "bf16"}[first]
    alone, changed, again = (trained_in(precision) for precision in (first, other, first))
    assert all(torch.equal(alone[name], again[name]) for name in alone)
    assert not all(torch.equal(alone[name], changed[name]) for name in alone)


def test_a_lane_has_the_settings_of_its_own_study() -> None:
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with join_lane(study_in(precision)).autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
