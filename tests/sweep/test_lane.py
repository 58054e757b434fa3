"""What a lane does before it works."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from sweep import lane


def test_a_lane_has_every_callback_of_train_but_two() -> None:
    """If Ray renames them this fails, and lanes have the two helpers again."""

    def callbacks(kind: type[TorchTrainer]) -> list[str]:
        trainer = kind(print, scaling_config=ScalingConfig(num_workers=1))
        return [type(one).__name__ for one in trainer._create_default_callbacks()]

    usual = callbacks(TorchTrainer)
    assert set(lane.UNUSED) <= set(usual)
    assert callbacks(lane.LaneTrainer) == [name for name in usual if name not in lane.UNUSED]


def test_a_lane_whose_code_cannot_be_imported_ends_the_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    coordinator: Any = SimpleNamespace(abort=SimpleNamespace(remote=said.append))
    monkeypatch.setitem(sys.modules, "sweep.lane_worker", None)
    monkeypatch.setattr(lane, "find_coordinator", lambda config: coordinator)
    monkeypatch.setattr(lane.ray, "get", lambda answer: answer)
    lane._loop({"lane": SimpleNamespace()})  # type: ignore[dict-item]
    assert len(said) == 1
    assert said[0].startswith("a lane cannot start: ")
