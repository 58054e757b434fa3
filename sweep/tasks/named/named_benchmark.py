"""Makes tasks of a benchmark with a name: what its file says, and what a study changes of it."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import Field, model_validator

from methods.data import TaskForm
from sweep.errors import InputError, unknown
from sweep.fetched import root_here
from sweep.tasks import PROBES
from sweep.tasks.base import Benchmark, BenchmarkConfig, FolderPath, TaskFingerprint
from sweep.tasks.named.benchmark_files import (
    FIGURES,
    NamedBenchmark,
    benchmark_names,
    read_benchmark,
)
from sweep.tasks.named.presence import check_presence
from sweep.tasks.sources.datasets import Datasets
from sweep.tasks.sources.source import TaskSource


class Published(BenchmarkConfig):
    """A published benchmark by its name: data sets, splits, class names, prompts and orders.

    >>> Published(name="mtil", tasks=["food", "mnist"], shots=16).task_names()
    ('food', 'mnist')
    """

    tasks: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Which of its tasks; null: all."
    )
    probes: tuple[str, ...] | None = Field(
        default=None,
        description="Which of its probes, or of those that benchmarks share; null: all its own.",
    )
    root: FolderPath | None = Field(
        default=None,
        description="Folder with copies of data sets by their hub id, and with those that are on "
        "no hub; what is not there is taken from the hub's cache.",
    )
    shots: int | None = Field(
        default=None,
        ge=1,
        description="Training samples of every class, at most, of every task; null: as published.",
    )
    subset: int | None = Field(
        default=None,
        ge=1,
        description="Training samples, at most, of every task; null: as published.",
    )
    seed: int | None = Field(
        default=None, ge=0, description="Of the samples drawn for these; null: as published."
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "Published":
        if self.name not in benchmark_names():
            raise unknown("published benchmark", self.name, benchmark_names())
        for kind, given, known in (
            ("task", self.tasks, self.file.tasks),
            ("probe", self.probes, self._known_probes),
        ):
            for name in given or ():
                if name not in known:
                    raise unknown(f"{kind} of benchmark '{self.name}'", name, known)
                if given and given.count(name) > 1:
                    raise InputError(f"{kind}s: '{name}' is given twice.")
        if self.shots and not any(source.has_classes for source in self._chosen.values()):
            raise InputError(
                "shots is for tasks with classes, and these have none; subset draws samples."
            )
        return self

    @property
    def file(self) -> NamedBenchmark:
        """Returns what its file says."""
        return read_benchmark(self.name)

    @property
    def _known_probes(self) -> dict[str, TaskSource]:
        return {**read_benchmark(PROBES).probes, **self.file.probes}

    def published_orders(self) -> Mapping[str, tuple[str, ...]]:
        """Returns the orders that papers used, without tasks that are not in use.

        >>> Published(name="mtil", tasks=["food", "mnist"]).published_orders()["order-1"]
        ('food', 'mnist')
        """
        names = self.file.tasks if self.tasks is None else self.tasks
        cut = any(self.file.tasks[name].cut for name in names)
        return {
            name: order if cut else tuple(task for task in order if task in names)
            for name, order in self.file.orders.items()
        }

    def protocol(self) -> Mapping[str, Any]:
        """Returns what its protocol asks of `evaluation`, by key."""
        return self.file.evaluation

    def published_figures(self) -> Sequence[Mapping[str, Any]]:
        """Returns what papers report of it; nothing if the study uses only a part of its data."""
        file = self.file
        is_whole = self.tasks is None or set(self.tasks) == set(file.tasks)
        if not is_whole or self.shots or self.subset:
            return ()
        return [
            {
                "method": figures.method,
                "order": figures.order,
                "source": figures.source,
                "figures": {FIGURES[key]: number for key, number in figures.numbers.items()},
            }
            for figures in file.published
        ]

    @cached_property
    def datasets(self) -> Datasets:
        """The same benchmark, with everything written out."""
        known, file = self._known_probes, self.file
        probes = tuple(file.probes) if self.probes is None else self.probes
        return Datasets(
            tasks={task: self._changed(source) for task, source in self._chosen.items()},
            probes={probe: known[probe] for probe in probes},
            root=self.root,
        )

    @property
    def _chosen(self) -> dict[str, TaskSource]:
        tasks = self.file.tasks
        return tasks if self.tasks is None else {name: tasks[name] for name in self.tasks}

    def _changed(self, source: TaskSource) -> TaskSource:
        shots = self.shots if source.has_classes else None
        given: dict[str, Any] = {"shots": shots, "subset": self.subset, "seed": self.seed}
        changes = {key: value for key, value in given.items() if value is not None}
        if shots or self.subset:  # the protocol says nothing about the size of these
            changes["expected"] = source.expected.model_copy(update={"train": None})
        return source.model_copy(update=changes)

    @cached_property
    def _present(self) -> Datasets:
        """The same benchmark, once all its data sets are there.

        Raises:
            InputError: some are not.
        """
        sources = {**self.datasets.tasks, **self.datasets.probes}
        check_presence(self.name, sources, root_here(self.root))
        return self.datasets

    def task_names(self) -> tuple[str, ...]:
        """Returns its tasks, as its file or the study lists them."""
        return self.datasets.task_names()

    def fingerprint(self) -> str:
        """Returns the SHA-256 of what identifies its tasks and probes."""
        return self._present.fingerprint()

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task and probe by its data and by how they are read."""
        return self._present.fingerprints()

    def forms(self) -> Mapping[str, TaskForm]:
        """Returns what is to be known of every task and probe before it is loaded, by name."""
        return self._present.forms()

    def found(self) -> tuple[str, ...]:
        """Returns which benchmark it is, and a sentence per task and probe."""
        about = f"Benchmark '{self.name}': {self.file.title} ({self.file.source.rstrip('.')})."
        return (about, *self._present.found())

    def warnings(self) -> tuple[str, ...]:
        """Returns what differs from the protocol."""
        return self._present.warnings()

    def check(self) -> None:
        """Looks at all data once.

        Raises:
            InputError: some are missing, or cannot be used.
        """
        self._present.check()

    def load(self) -> Benchmark:
        """Loads everything; pictures are decoded when asked for.

        Raises:
            InputError: some data are missing, or cannot be used.
        """
        return self._present.load()

    def outline(self) -> Benchmark:
        """Returns the same tasks and probes."""
        return self._present.outline()
