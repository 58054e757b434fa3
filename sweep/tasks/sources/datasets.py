"""Makes a benchmark of any data sets, which `datasets` reads from the hub or from folders."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic import Field, field_validator

from sweep.errors import InputError
from sweep.fetched import here, is_uri, root_here
from sweep.tasks.base import Benchmark, BenchmarkConfig, FolderPath, TaskFingerprint, together
from sweep.tasks.named.benchmark_files import written_out
from sweep.tasks.samples.from_source import Made, make_tasks, numbered_names
from sweep.tasks.samples.sourced_task import SourcedTask
from sweep.tasks.sources.source import Role, TaskSource


class Datasets(BenchmarkConfig):
    """Tasks of any data sets: on the hub, or in folders; of any kind.

    >>> pets = {"path": "timm/oxford-iiit-pet", "template": "a photo of a {}, a type of pet."}
    >>> Datasets(tasks={"pets": pets, "pets-fewshot": pets | {"shots": 16}}).task_names()
    ('pets', 'pets-fewshot')
    """

    name: str = "datasets"
    tasks: dict[str, TaskSource] = Field(
        min_length=1,
        description="Where the data of every task are, and how they are read; like: "
        "BENCHMARK.TASK takes over what a named benchmark says, such as mtil.food.",
    )
    probes: dict[str, TaskSource] = Field(
        default_factory=dict, description="The same for what is evaluated, but never trained on."
    )
    root: FolderPath | None = Field(
        default=None,
        description="Folder (or its URI) with copies of data sets: what is in ROOT/PATH is used, "
        "not the hub's.",
    )

    @field_validator("tasks", "probes", mode="before")
    @classmethod
    def _as_those_that_they_are_like(cls, entries: Any) -> Any:
        if not isinstance(entries, dict):
            return entries
        return {name: written_out(entry, str(name)) for name, entry in entries.items()}

    def task_names(self) -> tuple[str, ...]:
        """Returns the names of the tasks; of entries that are cut, those of their parts."""
        names = [one for name in self.tasks for one in self._names_of(name)]
        for name, count in Counter((*names, *self.probes)).items():
            if count > 1:
                raise InputError(f"{count} tasks or probes are called '{name}'; rename one.")
        return tuple(names)

    def _names_of(self, name: str) -> list[str]:
        cut = self.tasks[name].cut
        if cut is None:
            return [name]
        return numbered_names(name, cut.tasks) if cut.tasks else list(self._made(name).tasks)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of what identifies the tasks and the probes, in whatever order."""
        return together(self.fingerprints(), self.task_names(), self.probes)

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task by its samples, their order, its choices, prompts and question.

        Images count by the content of their files. Those in tables count by the commit of the data
        set, or by the files of the split, and by their rows. Where they lie does not count.
        """
        return {task.name: task.fingerprint for task in self._all()}

    def found(self) -> tuple[str, ...]:
        """Returns a sentence per task and probe: how many classes and samples it has."""
        return tuple(task.described() for task in self._all())

    def warnings(self) -> tuple[str, ...]:
        """Returns sizes that a protocol has otherwise, what was left out, and what leaks."""
        made = [self._made(name) for name in (*self.tasks, *self.probes)]
        said = [sentence for one in made for sentence in one.warnings]
        return (*said, *(sentence for task in self._all() for sentence in task.leaks()))

    def check(self) -> None:
        """Decodes every image once on this machine.

        Raises:
            InputError: the data are not what the study says, or an image cannot be decoded.
        """
        for task in self._all():
            task.check()

    def load(self) -> Benchmark:
        """Reads what stands in tables; images are decoded when they are asked for.

        Raises:
            InputError: the data are not what the study says.
        """
        self.task_names()
        tasks = {one.name: one.task() for one in self._all()}
        return Benchmark(
            {name: task for name, task in tasks.items() if name not in self.probes},
            {name: tasks[name] for name in self.probes},
        )

    def _all(self) -> Iterator[SourcedTask]:
        """Yields tasks, then probes."""
        for name in (*self.tasks, *self.probes):
            yield from self._made(name).tasks.values()

    @cached_property
    def _known(self) -> dict[str, Made]:
        """What has been made of entries so far."""
        return {}

    def _made(self, name: str) -> Made:
        if name not in self._known:
            is_task = name in self.tasks
            roles: tuple[Role, ...] = ("train", "test") if is_task else ("test",)
            source = self.tasks[name] if is_task else self.probes[name]
            self._known[name] = make_tasks(name, self._here(source), roles)
        return self._known[name]

    def _here(self, source: TaskSource) -> TaskSource:
        """Returns a source with a folder instead of a hub id, where there is such a copy."""
        if is_uri(source.path):
            return source.model_copy(update={"path": here(source.path)})
        root = root_here(self.root)
        copy = root and root / source.path
        if not copy or os.path.isabs(source.path) or not copy.is_dir():
            return source
        return source.model_copy(update={"path": str(copy), "revision": None})
