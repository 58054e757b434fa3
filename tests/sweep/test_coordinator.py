"""Which trials get a lane, and what becomes of the resources of a dead one. No Ray."""

import json
from pathlib import Path
from typing import Any

import pytest

from sweep.engine import coordinator as module
from sweep.engine.coordinator import LEASE, Coordinator
from sweep.storage.folder import Folder
from sweep.storage.planned import PLAN
from tests.sweep.plans import plan_of, study_of


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(module, "remove_placement_group", found.append)
    return found


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    plan = plan_of(study_of([("a", "b")], ["finetune"]))
    Folder(str(tmp_path)).write(json.dumps({"graph": plan.as_dict()}).encode(), PLAN)
    return Coordinator(str(tmp_path), max_lanes=1)


def beat(coordinator: Coordinator, lane: str) -> None:
    room: Any = f"room of {lane}"
    coordinator.alive(lane, None, room)


def test_dead_lane_makes_room_for_another(
    coordinator: Coordinator, clock: Clock, freed: list[str]
) -> None:
    assert coordinator.open_lane("one")
    beat(coordinator, "one")
    clock.now += LEASE / 2
    assert not coordinator.open_lane("two")
    clock.now += LEASE
    assert coordinator.open_lane("two")
    assert freed == ["room of one"]
    clock.now += 2 * LEASE
    assert coordinator.open_lane("two")
    assert freed == ["room of one"]


def test_lane_of_a_trial_that_has_to_wait_is_left_alone(
    coordinator: Coordinator, clock: Clock, freed: list[str]
) -> None:
    assert coordinator.open_lane("one")
    for _ in range(5):
        beat(coordinator, "one")
        clock.now += LEASE / 2
    assert coordinator.open_lane("one")
    assert not freed


def test_lane_whose_train_job_died_is_freed_at_once(
    coordinator: Coordinator, freed: list[str]
) -> None:
    assert coordinator.open_lane("one")
    beat(coordinator, "one")
    coordinator.evict("one")
    assert freed == ["room of one"]
    assert coordinator.open_lane("two")
