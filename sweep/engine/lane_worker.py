"""Runs in every worker of a lane: computes unit after unit, until the coordinator says stop."""

import pickle
import platform
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import ray
from accelerate.utils import broadcast_object_list

from sweep.engine.contract import LaneConfig, find_coordinator
from sweep.engine.coordinator import LEASE
from sweep.plan.scheduler import Assignment
from sweep.stage.state_cache import StateCache
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker
from sweep.storage.failures import keep
from sweep.storage.store import Store

STARTS = 4
"""How often a worker tries to read its data before it ends the study."""
PAUSE = 15.0
"""Seconds between two tries: a file server may need them to recover."""
T = TypeVar("T")


def work(config: LaneConfig) -> None:
    """Asks for units and computes them; the first worker of the lane speaks for all."""
    study, pinned = pickle.loads(config.setup)
    coordinator, store = find_coordinator(config), Store(config.out)
    accelerator = join_lane(study)
    leads = accelerator.is_main_process
    doing: list[str | None] = [None]
    if leads:
        _send_heartbeats(coordinator, config.lane, doing)
    try:
        worker = _start(lambda: Worker(study, pinned, accelerator))
        if not _start(lambda: store.folder.exists("study.yaml")):
            raise FileNotFoundError(
                f"'{config.out}' exists on the driver's machine but not on {platform.node()}; a "
                f"cluster needs an --out that all machines can reach, such as s3://BUCKET/FOLDER"
            )
    except (ValueError, OSError) as error:  # data or folder cannot be read: the study ends
        ray.get(coordinator.abort.remote(keep(store.folder, error)))
        return
    states = StateCache(store.state)
    while True:
        answer: list[Assignment | Literal["stop"] | None] = [None]
        if leads:
            answer = [ray.get(coordinator.next.remote(config.lane, list(states), worker.loaded))]
        assignment = broadcast_object_list(answer)[0]
        if assignment == "stop":
            return
        if assignment is None:
            continue
        unit = assignment.unit
        doing[0] = unit.key
        states.make_room(assignment.ancestors)
        try:
            result = worker.compute(unit, states.__getitem__, assignment.is_trained)
        except Exception as error:
            # Train restarts all workers of the lane, since they may have got to different points.
            doing[0] = None
            final = isinstance(error, ValueError | TypeError | FloatingPointError)
            said = keep(store.folder, error, unit)
            ray.get(coordinator.fail.remote(config.lane, unit.key, said, final))
            raise
        if result.state is not None:
            states[unit.key] = result.state
        if leads:
            state = result.state if assignment.is_state_needed else None
            try:
                former = store.training(unit.key) if assignment.is_trained else None
                save = partial(store.save, result.record, state, result.embeddings, former)
                record = _start(save)
            except OSError as error:  # nothing that any lane trains could be stored
                ray.get(coordinator.abort.remote(keep(store.folder, error, unit)))
                raise
            ray.get(coordinator.finish.remote(record))
        doing[0] = None


def _start(read: Callable[[], T]) -> T:
    """Returns what `read` returns; tries again where a disk or server does not answer."""
    for _ in range(STARTS - 1):
        try:
            return read()
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(PAUSE)
    return read()


def _send_heartbeats(coordinator: Any, lane: str, doing: list[str | None]) -> None:
    room = ray.util.get_current_placement_group()

    def beat() -> None:
        while True:
            coordinator.alive.remote(lane, doing[0], room)
            time.sleep(LEASE / 6)

    threading.Thread(target=beat, daemon=True).start()
