"""Holds what the engine's processes share; imports little, since all of them import it."""

from dataclasses import dataclass
from typing import Any

import ray


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
