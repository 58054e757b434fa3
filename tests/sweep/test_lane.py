"""What a lane does before it works."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sweep import lane


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
