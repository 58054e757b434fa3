"""A lane: a long-lived Ray Train job whose workers compute unit after unit, run after run."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

import ray
from accelerate.utils import broadcast_object_list

from methods.base import State
from sweep.coordinator import LEASE
from sweep.learner import join_lane
from sweep.ledger import Assignment
from sweep.sources import Source
from sweep.store import Store
from sweep.study import Study
from sweep.worker import Worker

CACHE = Path(gettempdir()) / "task-order-sweep"
"""Prepared images, shared by all workers on a machine."""


@dataclass(frozen=True)
class LaneConfig:
    """What the workers of a lane need to know."""

    study: Study
    sources: dict[str, Source]
    out: str
    lane: str
    coordinator: str
    namespace: str


def find_coordinator(config: LaneConfig) -> Any:
    """The handle of the coordinator; looked up by name, so that it survives a restart."""
    return ray.get_actor(config.coordinator, namespace=config.namespace)


def lane_loop(setup: dict[str, LaneConfig]) -> None:
    """What every worker of a lane does until the coordinator says stop."""
    config = setup["config"]
    coordinator, store = find_coordinator(config), Store(config.out)
    accelerator = join_lane(config.study)
    leads = accelerator.is_main_process
    if leads:
        _send_heartbeats(coordinator, config.lane)
    worker = Worker(config.study, config.sources, accelerator, CACHE)
    memory: dict[str, State] = {}

    def state_of(key: str) -> State:
        if key not in memory:
            memory[key] = store.state(key)
        return memory[key]

    while True:
        orders: list[Assignment | Literal["stop"] | None] = [None]
        if leads:
            orders = [ray.get(coordinator.next.remote(config.lane, list(memory), worker.loaded))]
        assignment = broadcast_object_list(orders)[0]
        if assignment == "stop":
            return
        if assignment is None:
            continue
        unit = assignment.unit
        for key in set(memory) - set(assignment.ancestors):
            del memory[key]
        try:
            result = worker.compute(unit, state_of)
        except Exception as error:
            # The group is started afresh: its workers may disagree on how far they got.
            final = isinstance(error, ValueError | TypeError | FloatingPointError)
            ray.get(coordinator.fail.remote(config.lane, unit.key, _sentence(error), final))
            raise
        if result.state is not None:
            memory[unit.key] = result.state
        if leads:
            state = result.state if assignment.keep_state else None
            record = store.save(result.record, state, result.embeddings)
            ray.get(coordinator.finish.remote(record))


def _send_heartbeats(coordinator: Any, lane: str) -> None:
    def beat() -> None:
        while True:
            coordinator.alive.remote(lane)
            time.sleep(LEASE / 6)

    threading.Thread(target=beat, daemon=True).start()


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
