"""The `benchmark:` sections of the world."""

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from sweep.errors import InputError, unknown
from sweep.tasks.base import Benchmark, BenchmarkConfig
from sweep.tasks.world.recipes import BLOBS, TASKS, Recipe
from sweep.tasks.world.tasks import make_task, probes, retrieval

WORLD_VERSION = 1
"""To be raised by every change that changes a pixel or a prompt."""

_KNOWN: Mapping[str, Recipe] = TASKS | {"blobs": BLOBS}


class World(BenchmarkConfig):
    """Eleven tasks about 32x32 pictures, rendered on the fly; needs no download."""

    name: Literal["world"] = "world"
    tasks: tuple[str, ...] | None = Field(
        default=None, description=f"Which of {', '.join(_KNOWN)}; null: all but blobs."
    )
    train: int = Field(default=1024, ge=1, description="Training images of every task.")
    test: int = Field(default=200, ge=1, description="Test images of every task and suite.")
    seed: int = Field(default=0, description="Another seed renders other images.")

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in tasks or ():
            if name not in _KNOWN:
                raise unknown("task", name, _KNOWN)
        if tasks is not None and (not tasks or len(set(tasks)) < len(tasks)):
            raise InputError(f"tasks: {list(tasks)} must be one or more tasks, each named once.")
        return tasks

    def task_names(self) -> tuple[str, ...]:
        """The tasks in the order they were given."""
        return tuple(TASKS) if self.tasks is None else self.tasks

    def fingerprint(self) -> str:
        """SHA-256 of what the pixels depend on, and of the tasks' names."""
        names = sorted(self.task_names())
        parts = (WORLD_VERSION, self.name, names, self.train, self.test, self.seed)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def load(self) -> Benchmark:
        """Render the tasks that were asked for, and all probes."""
        tasks = {
            name: make_task(name, _KNOWN[name], self.train, self.test, self.seed)
            for name in self.task_names()
        }
        return Benchmark(tasks, probes(self.test, self.seed), retrieval(self.seed))
