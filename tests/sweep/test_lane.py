"""What a lane does before it works."""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.exceptions import ActorUnavailableError
from ray.train import ControllerError

from sweep.engine import lane, lane_worker, trial
from sweep.errors import ChangedError, NoRoomError
from sweep.plan.scheduler import Assignment
from sweep.storage.store import Store


def test_a_machine_without_the_code_of_lanes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane starts elsewhere if there is another one."""
    said: list[str] = []
    others = [True, False]
    monkeypatch.setitem(sys.modules, "sweep.engine.lane_worker", None)
    monkeypatch.setattr(lane, "leave_here", lambda _, why: said.append(why) or others.pop(0))
    with pytest.raises(ImportError):
        lane._loop({"lane": SimpleNamespace()})  # type: ignore[dict-item]
    lane._loop({"lane": SimpleNamespace()})  # type: ignore[dict-item]
    assert len(said) == 2
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


@pytest.mark.parametrize(
    ("workers", "device", "error", "goes_on"),
    [
        (1, "cpu", RuntimeError("no"), True),
        (1, "cuda", KeyError("no"), True),
        (1, "cuda", RuntimeError("CUDA error"), False),
        (1, "cpu", MemoryError(), False),
        (2, "cpu", RuntimeError("no"), False),  # the other one may wait for it
    ],
)
def test_a_lane_goes_on_after_an_error_where_that_is_safe(
    tmp_path: Path, workers: int, device: str, error: Exception, goes_on: bool
) -> None:
    said: list[object] = []

    def compute(*_: object) -> None:
        raise error

    unit: Any = SimpleNamespace(key="k", title="t", backbone="clip", replicate=0, parents=())
    worker: Any = SimpleNamespace(
        accelerator=SimpleNamespace(
            num_processes=workers, device=SimpleNamespace(type=device), is_main_process=True
        ),
        prepare=lambda unit: None,
        compute=compute,
        unload=lambda: said.append("unload"),
    )
    mine = lane_worker._Lane("one", None, Store(str(tmp_path)), worker, [None])
    mine._tell = lambda what, *_: said.append(what)  # type: ignore[method-assign]
    if goes_on:
        mine.compute([Assignment(unit, False)])
    else:
        with pytest.raises(type(error)):
            mine.compute([Assignment(unit, False)])
    assert said == (["fail", "unload"] if goes_on else ["fail"])


def test_a_lane_that_ends_is_said_even_if_the_coordinator_is_restarting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[tuple[object, ...]] = []

    def call(question: str, *arguments: object) -> object:
        said.append((question, *arguments))
        if len(said) == 1:
            raise ActorUnavailableError("it restarts", None)
        return None

    def broken(config: object) -> None:
        raise RuntimeError("out of room")

    monkeypatch.setattr(trial, "run_lane", broken)
    monkeypatch.setattr(trial.time, "sleep", lambda seconds: None)
    mine: Any = trial.OrderTrial.__new__(trial.OrderTrial)
    mine.lane, mine.error, mine._call = SimpleNamespace(lane="one"), None, call
    mine.not_started, mine.thread = 0, None
    mine._run_lane()
    with pytest.raises(RuntimeError, match="the lane ended: out of room"):
        mine._ask("may_leave")
    assert said == [("close_lane", "one", "RuntimeError: out of room")] * 2


def test_a_trial_whose_lane_had_nothing_to_do_gets_another_once_there_is_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []
    grants = iter([True, False, True])
    answers = iter([None, None, True])

    def call(question: str, *arguments: object) -> object:
        return next(grants if question == "open_lane" else answers)

    @dataclass
    class Lane:
        lane: str

    monkeypatch.setattr(trial, "run_lane", lambda config: ran.append(config.lane))
    mine: Any = trial.OrderTrial.__new__(trial.OrderTrial)
    mine.lane, mine.error, mine.thread, mine._call = Lane("first"), None, None, call
    mine._renamed = lambda lane: Lane(f"{lane.lane}, again")

    def ended(question: str, *arguments: object) -> object:
        if mine.thread:
            mine.thread.join()
        return call(question, *arguments)

    mine._call = ended
    assert mine._ask("outcome")
    mine.thread.join()
    assert ran == ["first", "first, again"]


@pytest.mark.parametrize(
    ("at", "error", "is_other_there", "told"),
    [
        ("prepare", ChangedError("other weights"), True, ["leave_out"]),
        ("prepare", ChangedError("other weights"), False, ["leave_out", "fail finally"]),
        ("prepare", FileNotFoundError("no weights"), True, ["leave_out"]),
        ("prepare", ValueError("prompts are too long"), True, ["fail finally"]),
        ("compute", FileNotFoundError("of the method"), True, ["fail"]),
        ("compute", ChangedError("another expert"), True, ["leave_out"]),
        ("compute", NoRoomError("the cache is full"), True, ["leave_out"]),
        ("compute", NoRoomError("the cache is full"), False, ["leave_out", "abort"]),
    ],
)
def test_what_a_machine_lacks_is_no_fault_of_the_unit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    error: Exception,
    is_other_there: bool,
    told: list[str],
) -> None:
    """The lane starts anew where there is another machine, and tells no failure."""

    def fails(*_: object) -> None:
        raise error

    def tell(what: str, *arguments: object) -> object:
        said.append("fail finally" if what == "fail" and arguments[-1] is True else what)
        return is_other_there

    said: list[str] = []
    unit: Any = SimpleNamespace(key="k", title="t", backbone="clip", replicate=0, parents=())
    accelerator = SimpleNamespace(num_processes=1, device=torch.device("cpu"), is_main_process=True)
    calls = {"prepare": lambda unit: None, "compute": fails, at: fails}
    worker: Any = SimpleNamespace(accelerator=accelerator, unload=lambda: None, **calls)
    monkeypatch.setattr(lane_worker, "fault_here", lambda why: why)
    mine = lane_worker._Lane("one", None, Store(str(tmp_path)), worker, [None])
    mine._tell = tell  # type: ignore[method-assign]
    if told[-1] in ("leave_out", "abort"):
        with pytest.raises(type(error)):
            mine.compute([Assignment(unit, False)])
    else:
        mine.compute([Assignment(unit, False)])
    assert said == told


def test_a_lane_tries_its_device_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without memory stands for one that is broken."""
    accelerator = SimpleNamespace(is_main_process=False, device=torch.device("meta"))
    monkeypatch.setattr(lane_worker, "join_lane", lambda study: accelerator)
    config: Any = SimpleNamespace(setup=pickle.dumps((None, None)))
    with pytest.raises(RuntimeError, match="meta"):
        lane_worker._worker(config, None, None, [None])  # type: ignore[arg-type]


def test_a_trial_tries_another_lane_where_train_cannot_start_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Machines are left out for it; that must not use up what Tune allows a trial."""
    said: list[tuple[object, ...]] = []
    mine: Any = trial.OrderTrial.__new__(trial.OrderTrial)
    mine._call = lambda *told: said.append(told)
    mine._trial_info, mine.not_started = None, 0
    mine.lane = lane.LaneConfig(b"", "out", "one", "coordinator", "there", 1, 1, 0)
    for _ in range(trial.MOST_NOT_STARTED):
        mine.thread, mine.error = object(), ControllerError(ValueError("no GPUs found"))
        name = mine.lane.lane
        mine._close_lane(mine.error)
        assert (mine.thread, mine.error) == (None, None)
        assert mine.lane.lane != name
        assert said.pop()[:2] == ("close_lane", name)
    with pytest.raises(RuntimeError, match="the lane ended: Training failed"):
        mine._close_lane(ControllerError(ValueError("no GPUs found")))
