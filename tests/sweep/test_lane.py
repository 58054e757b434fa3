"""What a lane does before it works."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sweep.engine import lane, lane_worker


def test_a_lane_whose_code_cannot_be_imported_ends_the_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    coordinator: Any = SimpleNamespace(abort=SimpleNamespace(remote=said.append))
    monkeypatch.setitem(sys.modules, "sweep.engine.lane_worker", None)
    monkeypatch.setattr(lane, "find_coordinator", lambda config: coordinator)
    monkeypatch.setattr(lane.ray, "get", lambda answer: answer)
    lane._loop({"lane": SimpleNamespace()})  # type: ignore[dict-item]
    assert len(said) == 1
    assert said[0].startswith("a lane cannot start: ")


def test_a_lane_keeps_its_files_beside_the_study_on_any_filesystem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    fit = SimpleNamespace(fit=lambda: None)
    monkeypatch.setattr(lane, "LaneTrainer", lambda _, **given: made.append(given) or fit)
    out = "s3://bucket/study?region=us-east-2&endpoint_override=localhost:9000"
    lane.run_lane(lane.LaneConfig(b"", out, "one", "coordinator", "there", 1, 1, 0))
    kept = made[0]["run_config"]
    assert kept.storage_path == "bucket/study/tune/lanes"
    assert kept.storage_filesystem.type_name == "s3"


def test_a_worker_tries_again_where_a_disk_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_worker, "PAUSE", 0)
    errors: list[Exception] = [OSError("away"), TimeoutError("late")]

    def read() -> str:
        if errors:
            raise errors.pop(0)
        return "data"

    assert lane_worker._start(read) == "data"
    errors += [OSError("away")] * lane_worker.STARTS
    with pytest.raises(OSError, match="away"):
        lane_worker._start(read)
    errors[:] = [FileNotFoundError("never there"), OSError("not asked again")]
    with pytest.raises(FileNotFoundError):
        lane_worker._start(read)
    assert len(errors) == 1
