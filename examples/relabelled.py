"""A benchmark: tasks of the embedded world that show the same images and call them differently.

Tasks that contradict each other are where methods against interference have the most to do. A share
of the classes is renamed in every task: task k calls each of them as its k-th neighbour among the
renamed ones. Task 0 keeps all names.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pydantic import Field

from methods.data import Split, Task
from sweep.tasks.base import Benchmark, TaskFingerprint
from sweep.tasks.world.config import World


class Relabelled(World):
    """Several tasks `NAME-0`, `NAME-1`, ... of each task of the world, with names exchanged."""

    name: str = "relabelled"
    versions: int = Field(default=4, ge=2, description="Tasks that are made of each task.")
    share: float = Field(default=1.0, gt=0, le=1, description="Classes that exchange their names.")

    def task_names(self) -> tuple[str, ...]:
        """Returns the tasks; renders nothing."""
        return tuple(f"{task}-{k}" for task in self.recipes() for k in range(self.versions))

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task by the images and by which names they have."""
        own = {"name": "world"} | self.model_dump(exclude={"name", "versions", "share"})
        world = dict(World.model_validate(own).fingerprints())
        made = {}
        for task in self.recipes():
            before = world.pop(task)
            for k in range(self.versions):
                which = f" renamed {self.share} {k}"
                made[f"{task}-{k}"] = TaskFingerprint(before.train + which, before.test + which)
        return made | world

    def load(self) -> Benchmark:
        """Renders the tasks of the world and renames their classes."""
        world = super().load()
        tasks = {
            f"{name}-{k}": self._renamed(task, k)
            for name, task in world.tasks.items()
            for k in range(self.versions)
        }
        return Benchmark(tasks, world.probes)

    def _renamed(self, task: Task, k: int) -> Task:
        count = round(self.share * len(task.choices))
        names = np.arange(len(task.choices))
        names[:count] = np.roll(names[:count], -k)

        def split(given: Split) -> Split:
            return replace(given, labels=names[given.labels])

        name = f"{task.name}-{k}"
        return replace(task, name=name, train=split(task.train), test=split(task.test))
