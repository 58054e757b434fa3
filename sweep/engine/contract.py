"""Holds what the engine's processes share; imports little, since all of them import it."""

import math
from dataclasses import dataclass
from typing import Any

import ray

MOST_TRIALS = 1000
"""Trials that Tune can follow at a time: what it does for each grows with their number."""


def group_size(runs: int) -> int:
    """Returns how many runs a Tune trial stands for: one, where there are not too many.

    >>> group_size(120), group_size(4 * 40320)
    (1, 162)
    """
    return max(1, math.ceil(runs / MOST_TRIALS))


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
