"""Machines on which lanes end before they are ready. No Ray."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sweep.engine import driver, placement
from sweep.engine.contract import Fault, LaneLimits
from sweep.engine.left_out import DIED, FAILED_STARTS, LAST_FAILED_STARTS, UnfitMachines
from sweep.engine.outcomes import Progress

LIMITS = LaneLimits(count=2, workers=1, needs={"CPU": 1.0}, start_seconds=60.0, stage_seconds=None)


class Lanes:
    """What Ray knows of the lanes of a cluster of three machines."""

    left_out: UnfitMachines

    def __init__(self) -> None:
        self.ended: dict[str, set[str]] = {}
        self.crashed: dict[str, set[str]] = {}
        self.gone: set[str] = set()

    def coordinator_starts(self) -> None:
        self.left_out = UnfitMachines(LIMITS)
        self.left_out.look([], "")

    def end(
        self,
        *machines: str,
        ready: bool = False,
        why: str = "",
        freed: bool = False,
        error: str = "",
    ) -> None:
        """A lane ends; its first worker may say why it cannot start."""
        name = str(len(self.ended))
        room: Any = SimpleNamespace(id=SimpleNamespace(hex=lambda: name))
        if ready:
            self.left_out.ready(room)
        if why:
            self.left_out.accuse(Fault(machines[0], room, why))
        self.ended[name] = set(machines)
        self.left_out.look([name] if freed else [], error)
        self.left_out.look([], error)


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    lanes = Lanes()
    answers: dict[str, Any] = {
        "ended": lambda: lanes.ended,
        "crashed": lambda room: lanes.crashed.get(room, set()),
        "vanished": lambda machines: [one for one in machines if one in lanes.gone],
        "machines": lambda room: {"a": "10.0.0.1"},
        "room_on": lambda limits: {one: 1 for one in "abc" if one not in lanes.gone},
        "is_alone": lambda: len(lanes.gone) == 2,
        "title_of": str.upper,
    }
    for question, answer in answers.items():
        monkeypatch.setattr(placement, question, answer)
    lanes.coordinator_starts()
    return lanes


def test_a_machine_is_left_out_after_failed_starts_in_a_row(lanes: Lanes) -> None:
    for _ in range(FAILED_STARTS - 1):
        lanes.end("a")
        lanes.end("b", "c")
    assert not lanes.left_out.machines
    lanes.end("a", ready=True)  # a lane starts, works, and ends
    for _ in range(FAILED_STARTS - 1):
        lanes.end("a")
    assert not lanes.left_out.machines
    lanes.end("a", why="RuntimeError: CUDA error")
    assert lanes.left_out.sentences == [
        f"machine A is left out: workers did not start there {FAILED_STARTS} times in a row: "
        f"RuntimeError: CUDA error"
    ]
    assert not lanes.left_out.why_none_is_left()


def test_others_of_a_lane_are_not_to_blame(lanes: Lanes) -> None:
    for i in range(FAILED_STARTS):
        lanes.crashed[str(2 * i)] = {"a"}
        lanes.end("a", "b")
        lanes.end("a", "b", why="RuntimeError: CUDA error")
    assert lanes.left_out.machines.keys() == {"a"}


def test_deaths_of_others_are_no_failed_starts(lanes: Lanes) -> None:
    """Of a machine, and of what had the lane started."""
    for _ in range(2 * FAILED_STARTS):
        lanes.end("a", freed=True)
        lanes.gone = {"b"}
        lanes.end("a", "b")
        lanes.gone = set()
    assert not lanes.left_out.machines


def test_what_ended_before_a_restart_is_not_counted(lanes: Lanes) -> None:
    for _ in range(FAILED_STARTS - 1):
        lanes.end("a")
    lanes.coordinator_starts()
    lanes.end("a")
    assert not lanes.left_out.machines


def test_the_last_machine_is_tried_more_often(lanes: Lanes) -> None:
    lanes.gone = {"b", "c"}
    lanes.crashed = {str(i): {"a"} for i in range(LAST_FAILED_STARTS)}
    for _ in range(LAST_FAILED_STARTS - 1):
        lanes.end("a")
    assert not lanes.left_out.why_none_is_left()
    lanes.end("a")
    said = f"workers did not start there {LAST_FAILED_STARTS} times in a row: {DIED}"
    assert lanes.left_out.why_none_is_left() == said
    assert not lanes.left_out.sentences  # it is why the study ends


def test_a_lane_of_several_workers_needs_several_machines(lanes: Lanes) -> None:
    lanes.left_out = UnfitMachines(replace(LIMITS, workers=2, needs={"CPU": 2.0}))
    lanes.left_out.leave("a", "no data")
    assert not lanes.left_out.why_none_is_left()
    assert not lanes.left_out.has_others("b")
    lanes.left_out.leave("b", "no weights")
    assert lanes.left_out.why_none_is_left() == (
        "what is left of the cluster cannot hold a lane, without 2 machines left out, the last of "
        "them B: no weights"
    )
    lanes.gone = {"a", "b"}  # others may come
    assert not lanes.left_out.why_none_is_left()


def test_the_error_of_a_train_job_says_why_workers_did_not_start(lanes: Lanes) -> None:
    """As where Train cannot set up their process group: they have not begun then."""
    for _ in range(FAILED_STARTS):
        lanes.end("a", error="ValueError: no GPUs found!")
        lanes.end("b")
    assert [sentence.rpartition("row: ")[2] for sentence in lanes.left_out.sentences] == [
        "ValueError: no GPUs found!",
        "why is not known",
    ]


def test_a_driver_tells_a_restarted_coordinator_what_it_knows(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.left_out.leave("a", "no data")
    recalled: list[object] = []
    progress = Progress(3, [], 0, [], {}, False, left_out=lanes.left_out.machines)
    answers = {"tend": lambda: None, "progress": lambda: progress, "recall": recalled.append}
    coordinator = SimpleNamespace(
        **{name: SimpleNamespace(remote=answer) for name, answer in answers.items()}
    )
    folder: Any = SimpleNamespace(is_there=lambda: True, look=lambda *_: None)
    monkeypatch.setattr(driver.ray, "get", lambda answer: answer)
    lock: Any = SimpleNamespace(note=lambda **_: None)
    watch = driver._Watch(coordinator, folder, lock, None, 1, 0, ())
    watch._look()
    assert not recalled
    progress = Progress(3, [], 0, [], {}, False)
    watch._look()
    assert recalled == [lanes.left_out.machines]


def test_a_machine_of_several_lanes_is_tried_more_often(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may all end for one reason that will not come again."""
    monkeypatch.setattr(placement, "room_on", lambda limits: {"a": 8, "b": 1})
    for _ in range(LIMITS.count * FAILED_STARTS - 1):
        lanes.end("a")
    assert not lanes.left_out.machines
    lanes.end("a")
    assert list(lanes.left_out.machines) == ["a"]
