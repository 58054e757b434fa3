"""Stages that get nothing done are ended and tried again. In Ray, with processes that hang."""

import json
from pathlib import Path

import pytest

import sweep
from methods.testing.toy import toy_study
from sweep.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("shared_ray")]


def test_stages_that_hang_are_ended_and_tried_again(tmp_path: Path) -> None:
    """One in an endless loop, and one whose process is stopped and gives no sign of life."""
    study = toy_study(
        tmp_path,
        {"hangs": {"method": "tests.faulty:Hangs", "notes": str(tmp_path)}},
        design={"name": "fixed", "orders": [["a", "b", "c"]]},
        lanes={"count": 1, "stage_timeout": 0.75},
    )
    finished = sweep.run(study, str(tmp_path / "out"))
    assert (finished.is_settled, finished.failed) == (True, {})
    assert (tmp_path / "a").exists()
    assert (tmp_path / "a-b").exists()
    losses = json.loads((tmp_path / "out" / "manifest.json").read_text())["losses"]
    losses = [loss for loss in losses if loss.startswith("'hangs")]  # others may be slow here
    assert len(losses) == 2
    assert losses[0].startswith("'hangs: a' got nothing done for ")
    assert "(at tests/faulty.py:" in losses[0]
    assert losses[1].startswith("'hangs: a > b' got nothing done for ")
    records, _ = sweep.run_single(study, "hangs", ("a", "b", "c"))
    stored = Store(finished.out)
    assert [stored.record(record.key).scores for record in records] == [
        record.scores for record in records
    ]
