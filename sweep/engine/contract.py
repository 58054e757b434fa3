"""Holds what the engine's processes share; imports little, since all of them import it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup

MOST_TRIALS = 1000
"""Trials that Tune can follow at a time: what it does for each grows with their number."""

WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
"""Environment variable that says whether Train asks which machines are about to vanish; "0": no."""

LEAST_SECONDS = 7200.0
"""How long a lane may get nothing done at least, unless the study says: reading a large model from
a slow disk and some steps of methods are single calls that say nothing meanwhile."""
STAGES = 10.0
"""How long it may at least get nothing done, in times of the longest stage so far."""


def group_size(runs: int) -> int:
    """Returns how many runs a Tune trial stands for: one, where there are not too many.

    >>> group_size(120), group_size(4 * 40320)
    (1, 162)
    """
    return max(1, math.ceil(runs / MOST_TRIALS))


@dataclass(frozen=True)
class LaneLimits:
    """How many lanes there may be, and how long they may take."""

    count: int
    """Most lanes at a time."""
    workers: int
    """Of a lane."""
    needs: Mapping[str, float]
    """What all of them take, by Ray's names: CPU, GPU."""
    start_seconds: float
    """How long a study goes on without any lane."""
    stage_seconds: float | None
    """How long a lane may get nothing done; None: ten times as long as the longest stage took."""

    def seconds_to_hang(self, longest_stage: float) -> float:
        """Returns after how many seconds without progress a lane is taken to hang."""
        if self.stage_seconds is not None:
            return self.stage_seconds
        return max(LEAST_SECONDS, STAGES * longest_stage)


@dataclass(frozen=True)
class Sign:
    """A sign of life of a lane."""

    key: str | None
    """The unit that it is working on."""
    room: PlacementGroup
    """The resources that it holds."""
    beats: int
    """A count that rises with all that it gets done (`sweep.pulse`)."""
    place: str = ""
    """Where in the code it is, if it has got nothing done since the last sign."""


@dataclass(frozen=True)
class Fault:
    """What keeps a worker from its work and may be its machine's."""

    machine: str
    """Ray's id of it."""
    room: PlacementGroup
    """The resources that the lane holds."""
    why: str


@dataclass(frozen=True)
class LaneConfig:
    """What a lane needs to know."""

    setup: bytes
    """The pickled study and sources. Only workers unpickle them, since that imports torch."""
    out: str
    lane: str
    coordinator: str
    namespace: str
    workers: int
    cpus_per_worker: float
    gpus_per_worker: float


def find_coordinator(config: LaneConfig) -> Any:
    """Returns the coordinator's handle, looked up by name so that it survives a restart."""
    return ray.get_actor(config.coordinator, namespace=config.namespace)


def fault_here(why: str) -> Fault:
    """Returns the fault of the machine on which this worker is."""
    context = ray.get_runtime_context()
    return Fault(context.get_node_id(), ray.util.get_current_placement_group(), why)


def leave_here(config: LaneConfig, why: str) -> bool:
    """Has this worker's machine left out; returns whether its lane may start on another one."""
    return bool(ray.get(find_coordinator(config).leave_out.remote(config.lane, fault_here(why))))
