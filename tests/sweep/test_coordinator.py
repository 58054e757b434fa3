"""Which trials get a lane, and what becomes of a study that has none. No Ray."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sweep.engine import coordinator as module
from sweep.engine import placement
from sweep.engine.contract import LEAST_SECONDS, STAGES, Fault, LaneLimits, Sign
from sweep.engine.coordinator import LEASE, PATIENCE, Coordinator
from sweep.engine.left_out import FAILED_STARTS
from sweep.plan.scheduler import CRASH, MAX_LOSSES, Assignment
from sweep.storage.folder import Folder
from sweep.storage.planned import PLAN
from sweep.storage.store import Record
from tests.sweep.plans import plan_of, study_of


class Room(str):
    """Stands in for a placement group."""

    __slots__ = ()

    @property
    def id(self) -> Any:
        return SimpleNamespace(hex=lambda: str(self))


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


LIMITS = LaneLimits(
    count=1, workers=1, needs={"CPU": 1.0}, start_seconds=3600.0, stage_seconds=None
)


@pytest.fixture
def freed() -> list[object]:
    """The rooms that were freed."""
    return []


@pytest.fixture
def gone() -> set[str]:
    """Machines that have vanished."""
    return set()


@pytest.fixture
def alive() -> list[str]:
    """Machines that can hold a worker each."""
    return ["one", "other"]


@pytest.fixture
def coordinator(
    tmp_path: Path,
    clock: Clock,
    freed: list[object],
    gone: set[str],
    alive: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Coordinator:
    monkeypatch.setattr(module, "free_ownerless", list)
    monkeypatch.setattr(placement, "ended", dict)
    monkeypatch.setattr(placement, "machines", lambda room: {"one": "10.0.0.1"})
    monkeypatch.setattr(placement, "vanished", lambda nodes: [])
    monkeypatch.setattr(placement, "title_of", lambda machine: f"10.0.0.1 ({machine})")
    monkeypatch.setattr(placement, "room_on", lambda limits: dict.fromkeys(alive, 1))
    monkeypatch.setattr(placement, "is_alone", lambda: len(alive) == 1)
    monkeypatch.setattr(module, "is_alone", lambda: len(alive) == 1)
    monkeypatch.setattr(module, "free_of_ended_jobs", lambda: None)
    monkeypatch.setattr(module, "is_held", lambda room: room != "given back")
    monkeypatch.setattr(module, "machines", lambda room: {f"node of {room}": f"10.0.0.{room}"})
    monkeypatch.setattr(module, "vanished", lambda nodes: [n for n in nodes if n in gone])
    monkeypatch.setattr(module, "remove_placement_group", freed.append)
    monkeypatch.setattr(
        module, "why_none_starts", lambda limits, left_out: f"it takes {limits.needs}"
    )
    plan = plan_of(study_of([("a", "b")], ["finetune"]))
    Folder(str(tmp_path)).write(json.dumps({"graph": plan.as_dict()}).encode(), PLAN)
    return Coordinator(str(tmp_path), LIMITS)


def test_dead_lane_makes_room_for_another(coordinator: Coordinator, clock: Clock) -> None:
    assert coordinator.open_lane("one")
    clock.now += LEASE / 2
    assert not coordinator.open_lane("two")
    clock.now += LEASE
    assert coordinator.open_lane("two")
    assert not coordinator.open_lane("one")


def test_lane_whose_train_job_died_makes_room_at_once(coordinator: Coordinator) -> None:
    assert coordinator.open_lane("one")
    coordinator.close_lane("one", "boom")
    assert coordinator.open_lane("two")


def ask(coordinator: Coordinator, lane: str) -> Any:
    return asyncio.run(coordinator.next(lane, [], None))


@pytest.mark.usefixtures("coordinator")
def test_a_lane_that_others_do_without_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chains are left, then one: the second lane ends, and is replaced once it is needed."""
    monkeypatch.setattr(module, "WAIT", 0.01)
    plan = plan_of(study_of([("a", "b"), ("b", "a")], ["finetune"]))
    Folder(str(tmp_path)).write(json.dumps({"graph": plan.as_dict()}).encode(), PLAN)
    coordinator = Coordinator(str(tmp_path), replace(LIMITS, count=3))
    finish(coordinator, first_of(coordinator, "one"))  # the untouched backbone
    assert [coordinator.open_lane(lane) for lane in ("one", "two", "three")] == [True, True, False]
    a, b = first_of(coordinator, "one"), first_of(coordinator, "two")
    finish(coordinator, a)
    last = first_of(coordinator, "one")
    assert ask(coordinator, "two again") == "stop"
    finish(coordinator, b)
    finish(coordinator, first_of(coordinator, "two"))
    assert ask(coordinator, "two") == "stop"
    assert not coordinator.open_lane("two")
    coordinator.scheduler.lose("one", CRASH)
    coordinator.close_lane("one", "its machine is gone")
    assert coordinator.open_lane("two")
    assert first_of(coordinator, "two") == last


def sign(beats: int, key: str | None = None, room: str = "room", place: str = "") -> Sign:
    held: Any = Room(room)
    return Sign(key, held, beats, place)


def tended(coordinator: Coordinator) -> str:
    asyncio.run(coordinator.tend())
    return coordinator.progress().idle


@pytest.mark.parametrize("freeing", ["free_ownerless", "free_of_ended_jobs"])
def test_what_dead_lanes_and_killed_studies_have_left_is_freed_again_and_again(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, freeing: str
) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(module, freeing, lambda: looked.append(True) or [])
    tended(coordinator)
    tended(coordinator)
    assert len(looked) == 2


def test_a_study_without_a_lane_says_why_and_then_ends(
    coordinator: Coordinator, clock: Clock
) -> None:
    assert tended(coordinator) == ""
    clock.now += PATIENCE
    assert tended(coordinator) == ""
    clock.now += 1
    why = "because it takes {'CPU': 1.0}"
    assert tended(coordinator) == f"no lane has started for 5 min {why}"
    coordinator.close_lane("one", "ImportError: no such thing")
    said = f"{why}; the last one ended with: ImportError: no such thing"
    assert tended(coordinator) == f"no lane has started for 5 min {said}"
    clock.now += LIMITS.start_seconds - PATIENCE
    tended(coordinator)
    progress = coordinator.progress()
    assert progress.is_settled
    assert len(progress.failed) == 3
    assert set(progress.failed.values()) == {f"no lane has started for 60 min {said}"}


def test_a_study_with_a_lane_goes_on(coordinator: Coordinator, clock: Clock) -> None:
    for _ in range(2 * round(LIMITS.start_seconds / LEASE)):
        coordinator.alive("one", sign(beats=0))
        clock.now += LEASE / 2
        assert tended(coordinator) == ""
    assert not coordinator.progress().failed
    clock.now += PATIENCE + 1  # it is gone
    assert tended(coordinator).startswith("no lane has started for 5 min")


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


def test_a_settled_study_needs_no_lane(coordinator: Coordinator, clock: Clock) -> None:
    for _ in range(3):
        finish(coordinator, first_of(coordinator, "lane"))
    assert coordinator.progress().is_settled
    clock.now += 2 * LIMITS.start_seconds
    assert tended(coordinator) == ""


def test_a_stage_that_gets_nothing_done_is_ended_and_tried_again(
    coordinator: Coordinator, clock: Clock, freed: list[object]
) -> None:
    key = first_of(coordinator, "one").unit.key
    for beats in range(5):  # slow, but it goes on
        coordinator.alive("one", sign(beats, key))
        clock.now += LEAST_SECONDS
        coordinator.alive("one", sign(beats, key))
        tended(coordinator)
    assert not freed
    clock.now += 1
    coordinator.alive("one", sign(4, key, place="my/method.py:7 in loss"))
    tended(coordinator)
    assert freed == ["room"]
    (loss,) = coordinator.progress().losses
    title = coordinator.graph.units[key].title
    said = f"'{title}' got nothing done for 2 h 0 min (at my/method.py:7 in loss); its lane"
    assert loss.startswith(said)
    coordinator.alive("one", sign(4, key))  # sent before it was ended
    assert not coordinator.progress().working
    tended(coordinator)
    assert freed == ["room"]
    assert first_of(coordinator, "one").unit.key == key
    coordinator.alive("one", sign(0, key, room="another room"))
    assert coordinator.progress().working


def test_a_lane_that_is_stopped_gets_nothing_done(
    coordinator: Coordinator, clock: Clock, freed: list[object]
) -> None:
    coordinator.alive("one", sign(0))
    coordinator.alive("two", sign(0, room="given back"))  # it has ended, and says nothing any more
    clock.now += LEAST_SECONDS + 1
    tended(coordinator)
    assert freed == ["room"]
    assert [loss.partition(" got")[0] for loss in coordinator.progress().losses] == [
        "a lane between stages"
    ]


def test_the_longest_stage_says_what_is_too_long(coordinator: Coordinator) -> None:
    first = first_of(coordinator, "lane")
    record = Record(key=first.unit.key, evaluation="", seconds={"train": 3000.0, "load": 600.0})
    asyncio.run(coordinator.finish(record))
    assert LIMITS.seconds_to_hang(coordinator._longest) == STAGES * 3600.0
    assert LIMITS.seconds_to_hang(1.0) == LEAST_SECONDS
    assert replace(LIMITS, stage_seconds=9.0).seconds_to_hang(3600.0) == 9.0


def begin(coordinator: Coordinator, room: str) -> str:
    """New workers of a lane ask for a unit, and say that they work on it."""
    key = first_of(coordinator, "one").unit.key
    coordinator.alive("one", sign(0, key, room))
    return key


def test_a_machine_that_vanishes_is_no_fault_of_the_unit(
    coordinator: Coordinator, gone: set[str]
) -> None:
    for number in range(2 * MAX_LOSSES):
        key = begin(coordinator, str(number))
        gone.add(f"node of {number}")
    for _ in range(MAX_LOSSES):
        assert begin(coordinator, "there") == key
    title = coordinator.graph.units[key].title
    progress = coordinator.progress()
    assert not progress.failed
    said = f"'{title}' was lost, its machine 10.0.0.0 vanished, and is begun again"
    assert progress.losses[0] == said
    first_of(coordinator, "one")
    failed = coordinator.progress().failed[key]
    assert failed == "its machine vanished 10 times; its worker died (out of memory?) 5 times"


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
    restarted = Coordinator(str(tmp_path), LIMITS)
    assert first_of(restarted, "lane").is_trained
    damage(tmp_path, trained.unit.key)
    asyncio.run(restarted.lose("lane", trained.unit.key, trained.unit.key))
    again = first_of(restarted, "lane")
    assert (again.unit.key, again.is_trained) == (trained.unit.key, False)


def leave_out(coordinator: Coordinator, machine: str, key: str | None = None) -> bool:
    room: Any = Room(f"on {machine}")
    fault = Fault(machine, room, f"{machine} has no data")
    return asyncio.run(coordinator.leave_out("lane", fault, key))


def test_a_study_ends_when_no_machine_is_left(coordinator: Coordinator, clock: Clock) -> None:
    """But not at once, since others may come, nor while a lane is at work there."""
    assert leave_out(coordinator, "one")
    assert coordinator.left_out() == ["one"]
    said = "machine 10.0.0.1 (one) is left out: one has no data"
    assert coordinator.progress().losses == (said,)
    coordinator.alive("another", sign(0, room="on other"))
    assert leave_out(coordinator, "other")
    for _ in range(2 * round(PATIENCE / LEASE)):
        coordinator.alive("another", sign(0, room="of another"))
        clock.now += LEASE / 2
        tended(coordinator)
    clock.now += PATIENCE
    tended(coordinator)
    assert not coordinator.progress().failed
    clock.now += 1
    tended(coordinator)
    progress = coordinator.progress()
    assert progress.is_settled
    assert set(progress.failed.values()) == {
        "what is left of the cluster cannot hold a lane, without 2 machines left out, the last of "
        "them 10.0.0.1 (other): other has no data"
    }


def test_a_study_ends_at_once_with_the_only_machine(
    coordinator: Coordinator, alive: list[str]
) -> None:
    """It gives the reason, and no word of other machines."""
    alive[:] = ["one"]
    coordinator.alive("lane", sign(0))
    assert not leave_out(coordinator, "one")
    progress = coordinator.progress()
    assert set(progress.failed.values()) == {"one has no data"}
    assert progress.losses == ()


def test_a_machine_that_lacks_what_a_unit_needs_gives_it_back(
    coordinator: Coordinator, alive: list[str]
) -> None:
    """To another machine; where there is none, the unit fails and the others go on."""
    for _ in range(2 * MAX_LOSSES):
        key = first_of(coordinator, "lane").unit.key
        coordinator.alive("lane", sign(0, key, room="on one"))
        assert leave_out(coordinator, "one", key)
        coordinator.alive("lane", sign(1, key, room="on one"))  # by another worker of it
        assert not coordinator.progress().working
    assert len(coordinator.progress().losses) == 1
    alive.remove("one")
    assert first_of(coordinator, "lane").unit.key == key
    assert not leave_out(coordinator, "other", key)
    assert coordinator.left_out() == ["one"]
    asyncio.run(coordinator.fail("lane", key, "it has no data", final=True))
    assert coordinator.progress().failed[key] == "it has no data"


def test_a_restarted_coordinator_is_told_which_machines_are_left_out(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    leave_out(coordinator, "one")
    known = coordinator.progress()
    restarted = Coordinator(str(tmp_path), LIMITS)
    assert not restarted.left_out()
    restarted.recall(known.left_out)
    assert restarted.left_out() == ["one"]
    assert restarted.progress().losses == known.losses


def test_lanes_that_end_once_they_have_asked_for_work_are_no_failed_starts(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms: dict[str, set[str]] = {}
    monkeypatch.setattr(placement, "ended", lambda: rooms)
    monkeypatch.setattr(placement, "crashed", lambda room: rooms[room])
    tended(coordinator)
    for asks, number in [(True, 10), (False, FAILED_STARTS)]:
        assert not coordinator.left_out()
        for i in range(number):
            room = f"{asks} {i}"
            coordinator.alive("lane", sign(0, room=room))
            if asks:
                asyncio.run(coordinator.next("lane", [], None))
                asyncio.run(coordinator.release("lane", list(coordinator.scheduler.claimed)))
            rooms[room] = {"one"}
            tended(coordinator)
    assert coordinator.left_out() == ["one"]
