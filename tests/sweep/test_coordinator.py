"""Which trials get a lane, and what becomes of the resources of a dead one. No Ray."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sweep.engine import coordinator as module
from sweep.engine.coordinator import LEASE, Coordinator
from sweep.plan.scheduler import Assignment
from sweep.storage.folder import Folder
from sweep.storage.planned import PLAN
from sweep.storage.store import Record
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


def first_of(coordinator: Coordinator, lane: str) -> Assignment:
    answer = asyncio.run(coordinator.next(lane, [], None))
    assert isinstance(answer, list)
    return answer[0]


def finish(coordinator: Coordinator, assignment: Assignment, with_scores: bool = True) -> Record:
    """Stores a unit, and says so."""
    unit = assignment.unit
    record = Record(key=unit.key, evaluation=unit.evaluation if with_scores else "")
    state = {"w": torch.ones(3)} if unit.kind == "train" else None
    record = coordinator.store.save(record, state)
    asyncio.run(coordinator.finish(record))
    return record


def damage(tmp_path: Path, key: str) -> None:
    (tmp_path / "stages" / key / "state.safetensors").write_bytes(b"not a state")


def test_a_damaged_state_is_trained_again_before_what_starts_from_it(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    finish(coordinator, first_of(coordinator, "lane"))
    first = first_of(coordinator, "lane")
    finish(coordinator, first)
    second = first_of(coordinator, "lane")
    assert second.unit.parents == (first.unit.key,)
    for round_ in range(1, 4):  # as often as a stage is tried again
        damage(tmp_path, first.unit.key)
        asyncio.run(coordinator.lose("lane", first.unit.key, second.unit.key))
        assert coordinator.progress().damaged == 1
        if round_ == 3:
            break
        again = first_of(coordinator, "lane")
        assert again.unit.key == first.unit.key
        finish(coordinator, again)
        assert first_of(coordinator, "lane").unit.key == second.unit.key
    failed = coordinator.progress().failed
    assert list(failed) == [second.unit.key]
    assert "was damaged 3 times on the disk" in failed[second.unit.key]


def test_a_damaged_state_that_was_only_to_be_evaluated_is_trained_again(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    finish(coordinator, first_of(coordinator, "lane"))
    trained = first_of(coordinator, "lane")
    finish(coordinator, trained, with_scores=False)
    restarted = Coordinator(str(tmp_path), max_lanes=1)
    assert first_of(restarted, "lane").is_trained
    damage(tmp_path, trained.unit.key)
    asyncio.run(restarted.lose("lane", trained.unit.key, trained.unit.key))
    again = first_of(restarted, "lane")
    assert (again.unit.key, again.is_trained) == (trained.unit.key, False)
