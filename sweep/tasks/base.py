"""A benchmark: a named pool of tasks, plus held-out probes that are never trained on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from methods.data import Retrieval, Task


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The data of a study, loaded."""

    tasks: Mapping[str, Task]
    probes: Mapping[str, Task] = field(default_factory=dict)
    """Held-out zero-shot suites: tasks of which only `test` is used."""
    retrieval: Mapping[str, Retrieval] = field(default_factory=dict)


class BenchmarkConfig(BaseModel, ABC):
    """The `benchmark:` section of a study; one subclass per kind of benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def task_names(self) -> tuple[str, ...]:
        """The tasks that orders are made of; cheap (loads no images)."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies the data of all tasks and probes; equal data, equal fingerprint."""

    def check(self) -> None:
        """Look at all of the data once, before anything starts.

        Raises:
            InputError: some of it cannot be used.
        """

    @abstractmethod
    def load(self) -> Benchmark:
        """Load or render everything; every process does."""
