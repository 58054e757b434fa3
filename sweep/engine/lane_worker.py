"""Runs in every worker of a lane: computes unit after unit, until the coordinator says stop."""

import os
import pickle
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import ray
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from ray import train

from sweep.cache import is_full
from sweep.engine.contract import (
    WATCHER,
    LaneConfig,
    Sign,
    fault_here,
    find_coordinator,
    leave_here,
)
from sweep.engine.coordinator import LEASE
from sweep.errors import ChangedError, NoRoomError
from sweep.plan.scheduler import Assignment
from sweep.plan.units import Unit
from sweep.pulse import PULSE
from sweep.stage.state_cache import StateCache
from sweep.stage.steps.checkpoints import Checkpoints, HandedOverError
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Result, Worker
from sweep.storage.checkpoint_files import CheckpointFiles
from sweep.storage.failures import described, keep, own_frame
from sweep.storage.store import Record, StateLostError, Store
from sweep.study.schema import Study

STARTS = 4
"""How often a worker tries to read what it needs before its machine is left out."""
PAUSE = 15.0
"""Seconds between two tries: a file server may need them to recover."""
MOST_TOGETHER = 256
"""Most units that a lane is given at a time, if they are short enough to be stored together."""
TOGETHER_SECONDS = 5.0
"""Seconds after which a lane stores what it has done: so much is lost if it dies, and so long other
lanes may wait for units that it was given."""
T = TypeVar("T")


def work(config: LaneConfig) -> None:
    """Asks for units and computes them; the first worker of the lane speaks for all."""
    coordinator, doing = find_coordinator(config), list[str | None]([None])
    try:
        store = Store(config.out)
        worker = _worker(config, store, coordinator, doing)
    except (ValueError, OSError, ImportError) as error:  # so it is at every start here
        if leave_here(config, _kept(config, error)):
            raise  # Train starts the lane anew, with all of its workers
        return
    except Exception as error:  # such as that of a GPU, which may be otherwise next time
        ray.get(coordinator.accuse.remote(fault_here(_kept(config, error))))
        raise
    accelerator = worker.accelerator
    leads = accelerator.is_main_process
    lane = _Lane(config.lane, coordinator, store, worker, doing)
    while True:
        answer: list[list[Assignment] | Literal["stop"] | None] = [None]
        PULSE.beat()
        if is_leaving():
            raise LeavingError
        if leads:
            held = list(lane.states)
            # Workers of one lane may find at different units that it is time to store them.
            most = lane.most if accelerator.num_processes == 1 else 1
            answer = [ray.get(coordinator.next.remote(config.lane, held, worker.loaded, most))]
        several = broadcast_object_list(answer)[0]
        if several == "stop":
            return
        if several is not None:
            lane.compute(several)


class LeavingError(Exception):
    """Says that a lane has to start anew elsewhere: one of its machines is about to vanish."""


def _worker(config: LaneConfig, store: Store, coordinator: Any, doing: list[str | None]) -> Worker:
    """Returns the worker of this process once those of the lane are all ready."""
    study, pinned = pickle.loads(config.setup)
    accelerator = join_lane(study)
    if accelerator.is_main_process:
        _send_heartbeats(coordinator, config.lane, doing)
    check_device(accelerator.device)
    checkpoints = _checkpoints(study, accelerator, store)
    worker = _start(lambda: Worker(study, pinned, accelerator, checkpoints=checkpoints))
    if not _start(lambda: store.folder.exists("study.yaml")):
        raise FileNotFoundError(
            f"'{config.out}' exists on the driver's machine but not on {platform.node()}; a "
            f"cluster needs an --out that all machines can reach, such as s3://BUCKET/FOLDER"
        )
    # If another one fails instead, Train ends this one while it waits.
    accelerator.wait_for_everyone()
    return worker


def check_device(device: torch.device) -> None:
    """Makes sure that a device computes.

    Raises:
        RuntimeError: it does not, or not what it should.

    >>> check_device(torch.device("cpu"))
    """
    ones = torch.ones(256, 256, device=device)
    total = float((ones @ ones).sum())  # waits for the device
    if total != 256.0**3:
        raise RuntimeError(f"the sum of 256^3 ones on device '{device}' is {total:g}")


def _kept(config: LaneConfig, error: Exception) -> str:
    """Returns the description of an error, whose traceback is kept if OUT can be reached."""
    try:
        return keep(Store(config.out).folder, error)
    except (ValueError, OSError):
        return described(error)


class _Lane:
    """Computes the units that a lane is given, stores them, and says so."""

    def __init__(
        self,
        name: str,
        coordinator: Any,
        store: Store,
        worker: Worker,
        doing: list[str | None],
    ) -> None:
        self._name = name
        self._coordinator = coordinator
        self._store = store
        self._worker = worker
        self._doing = doing
        self.states = StateCache(store.state)
        self.most = 1
        """How many units like the last ones it has time for before it stores them."""

    def compute(self, several: list[Assignment]) -> None:
        """Computes units until they are all done, or until it is time to store them."""
        done: list[tuple[Assignment, Result]] = []
        begun = time.monotonic()
        while several and (not done or time.monotonic() - begun < TOGETHER_SECONDS):
            assignment = several.pop(0)
            self._doing[0] = assignment.unit.key
            self.states.make_room(assignment.needed)
            is_loaded = False
            try:
                _start(partial(self._worker.prepare, assignment.unit))
                is_loaded = True
                result = self._worker.compute(
                    assignment.unit, self.states.__getitem__, assignment.is_trained
                )
            except Exception as error:
                self._doing[0] = None
                self._keep(done, several)
                if isinstance(error, HandedOverError):
                    self._tell("hand_over", self._name, assignment.unit.key, error.step)
                    raise  # Train starts the lane anew on another machine
                if self._is_machines(error, is_loaded) and self._leave(error, assignment.unit):
                    raise  # Train starts the lane anew on another machine
                if isinstance(error, StateLostError):
                    self._tell("lose", self._name, error.key, assignment.unit.key)
                elif isinstance(error, NoRoomError) or is_full(error):
                    self._tell("abort", keep(self._store.folder, error, assignment.unit))
                    raise
                else:
                    final = isinstance(error, ValueError | TypeError | FloatingPointError)
                    said = keep(self._store.folder, error, assignment.unit)
                    self._tell("fail", self._name, assignment.unit.key, said, final)
                if not self._goes_on_after(error):
                    raise  # Train restarts all workers of the lane
                # The model is loaded anew, since it may be in any state.
                self._worker.unload()
                self.states = StateCache(self._store.state)
                return
            if result.state is not None:
                self.states[assignment.unit.key] = result.state
            done.append((assignment, result))
        each = (time.monotonic() - begun) / len(done)
        self.most = max(1, int(min(MOST_TOGETHER, TOGETHER_SECONDS / max(each, 1e-6))))
        self._keep(done, several)
        self._doing[0] = None

    def _is_machines(self, error: Exception, is_loaded: bool) -> bool:
        """Returns whether other machines may compute what this one cannot."""
        lacks = isinstance(error, ChangedError | NoRoomError)
        return lacks or (isinstance(error, OSError) and not is_loaded)

    def _leave(self, error: Exception, unit: Unit) -> bool:
        """Gives a unit back and leaves this machine out, unless there is no other one."""
        fault = fault_here(keep(self._store.folder, error, unit))
        return bool(self._tell("leave_out", self._name, fault, unit.key))

    def _goes_on_after(self, error: Exception) -> bool:
        """Returns whether this process may compute other units after one has failed.

        With several workers it may not: others may wait for it in the middle of an exchange. Nor
        where memory has run out, or where the error may be that of a GPU, which then fails at
        whatever this process does next.
        """
        accelerator = self._worker.accelerator
        may_be_devices = isinstance(error, RuntimeError) and accelerator.device.type != "cpu"
        is_broken = may_be_devices or isinstance(error, MemoryError)
        return accelerator.num_processes == 1 and not is_broken

    def _keep(self, done: list[tuple[Assignment, Result]], left: list[Assignment]) -> None:
        """Stores what is done, and gives back what is left."""
        if not self._worker.accelerator.is_main_process:
            return
        if done:
            try:
                records = _start(partial(self._save, done))
            except OSError as error:  # nothing that any lane trains could be stored
                unit = done[0][0].unit
                self._tell("abort", keep(self._store.folder, error, unit))
                raise
            self._tell("finish", *records)
        if left:
            self._tell("release", self._name, [assignment.unit.key for assignment in left])

    def _save(self, done: list[tuple[Assignment, Result]]) -> list[Record]:
        if len(done) > 1:
            self._store.save_together([(made.record, made.embeddings) for _, made in done])
            return [made.record for _, made in done]
        ((assignment, made),) = done
        state = made.state if assignment.is_state_needed else None
        former = self._store.training(assignment.unit.key) if assignment.is_trained else None
        record = self._store.save(made.record, state, made.embeddings, former)
        if self._worker.checkpoints:
            self._worker.checkpoints.drop(record.key)
        return [record]

    def _tell(self, what: str, *arguments: object) -> Any:
        return ray.get(getattr(self._coordinator, what).remote(*arguments))


def _checkpoints(study: Study, accelerator: Accelerator, store: Store) -> Checkpoints | None:
    minutes = study.lanes.checkpoint_minutes
    if minutes is None:
        return None
    return Checkpoints(CheckpointFiles(store.folder), accelerator, 60 * minutes, is_leaving)


def is_leaving() -> bool:
    """Returns whether a machine of the lane is about to vanish; all its workers ask together.

    That takes Ray some milliseconds, which are saved where nobody watches for it.
    """
    return os.environ.get(WATCHER) != "0" and train.get_preemption_info() is not None


def _start(read: Callable[[], T]) -> T:
    """Returns what `read` returns; tries again where a disk or server does not answer."""
    for _ in range(STARTS - 1):
        try:
            return read()
        except FileNotFoundError:
            raise
        except OSError as error:
            if is_full(error):
                raise
            time.sleep(PAUSE)
    return read()


def _send_heartbeats(coordinator: Any, lane: str, doing: list[str | None]) -> None:
    room, works = ray.util.get_current_placement_group(), threading.get_ident()

    def beat() -> None:
        before = -1
        while True:
            place, beats = "", PULSE.beats
            if beats == before:
                place = own_frame(traceback.extract_stack(sys._current_frames()[works]))
            coordinator.alive.remote(lane, Sign(doing[0], room, beats, place))
            before = beats
            time.sleep(LEASE / 6)

    threading.Thread(target=beat, daemon=True).start()
