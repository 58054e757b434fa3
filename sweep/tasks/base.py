"""Defines benchmarks, reference pools and generators, which are sections of a study.

A benchmark is a named pool of tasks, plus held-out probes that are never trained on. A reference
is a pool of image-caption pairs outside of all tasks; a generator makes new images for the choices
of a task. Only some methods need a reference or a generator.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field

from methods.data import Images, Kind, Task, TaskForm
from sweep.errors import InputError
from sweep.fetched import is_uri
from sweep.section import Section


def _absolute(path: object) -> object:
    """Lanes work in other folders."""
    if not isinstance(path, str | Path) or is_uri(str(path)):
        return path
    return str(Path(os.path.expanduser(path)).absolute())  # Path's own raises an error


FolderPath = Annotated[str, BeforeValidator(_absolute)]
"""A folder in a study, which means the same place to every process: an absolute path, or a URI.
`sweep.fetched.here` says where that is on this machine."""
SCORES_OF: Mapping[Kind, tuple[str, ...]] = {
    "choices": ("accuracy", "class_accuracy"),
    "pairs": ("recall", *(f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10))),
    "answers": (
        *("exact_match", "vqa_accuracy", "anls", "cider", "rouge_l", "letter"),
        *("iou", "iou_50", "relaxed_accuracy", "likelihood"),
    ),
}
"""What may be the score of a task of each kind; all lie in 0..1. The first is the default."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The data of a study, loaded."""

    tasks: Mapping[str, Task]
    probes: Mapping[str, Task] = field(default_factory=dict)
    """Held-out suites, of any kind: tasks of which only `test` is used."""


Generator = Callable[[Task, np.ndarray, Sequence[int]], Images]
"""Draws one image per label (the choice that it shows, int64 [B]) of a task, each from a seed."""


def check_template(template: str) -> None:
    """Makes sure that a template has a place for the class name.

    Raises:
        InputError: there is no "{}", or there are other braces.
    """
    if "{}" not in template or "{" in template.replace("{}", ""):
        raise InputError(f"template '{template}' must hold '{{}}' for the class name.")


@dataclass(frozen=True)
class TaskFingerprint:
    """Identifies the content of a task, wherever it is stored."""

    train: str
    """Covers all that learning the task depends on: images, labels, choices, prompts, question."""
    test: str
    """Covers all that evaluating on it depends on."""


def together(
    parts: Mapping[str, TaskFingerprint], tasks: Iterable[str], probes: Iterable[str]
) -> str:
    """Returns the SHA-256 of what identifies tasks and probes, in whatever order."""
    found = [sorted((name, parts[name]) for name in names) for names in (tasks, probes)]
    return hashlib.sha256(repr(tuple(found)).encode()).hexdigest()


class DataConfig(Section, ABC):
    """A section of a study that says where data comes from."""

    name: str

    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies the data: equal data have equal fingerprints, wherever they are stored."""

    def anew(self) -> Self:
        """Returns a copy that has not looked at the data yet; they may have changed since."""
        copy = self.model_copy()
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]  # cached properties
        return copy

    def __getstate__(self) -> dict[Any, Any]:
        """Leaves out what was read: it may be large, and another process reads for itself."""
        state = super().__getstate__()
        known = state["__dict__"]
        fields = {name: known[name] for name in type(self).model_fields if name in known}
        return state | {"__dict__": fields}

    def found(self) -> tuple[str, ...]:
        """Returns sentences about what is there, for people."""
        return ()

    def warnings(self) -> tuple[str, ...]:
        """Returns sentences about what was left out, and about what is probably not meant."""
        return ()

    def check(self) -> None:
        """Looks at the data once, before anything starts.

        Raises:
            InputError: some of it cannot be used.
        """


class ReferenceConfig(DataConfig):
    """The `reference:` section: image-caption pairs outside of all tasks; one subclass per kind."""

    @abstractmethod
    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Returns the images and their captions; every process loads them."""


class GeneratorConfig(DataConfig):
    """The `generator:` section: new images for the choices of a task; one subclass per kind."""

    images: int = Field(default=200, ge=1, description="Images generated for every task.")

    def check_draws_for(self, benchmark: "BenchmarkConfig") -> None:
        """Makes sure that it can draw for a benchmark's tasks; loads nothing.

        Raises:
            InputError: this generator cannot draw for tasks of that benchmark.
        """

    @abstractmethod
    def load(self, benchmark: "BenchmarkConfig") -> Generator:
        """Returns what draws for tasks of `benchmark`; every process that needs it loads it."""


class BenchmarkConfig(DataConfig):
    """The `benchmark:` section; one subclass per kind of benchmark."""

    @abstractmethod
    def task_names(self) -> tuple[str, ...]:
        """Returns the tasks of which orders are made; cheap (loads no images)."""

    def published_orders(self) -> Mapping[str, tuple[str, ...]]:
        """Returns orders of these tasks that papers used, by name; reads no data."""
        return {}

    def protocol(self) -> Mapping[str, Any]:
        """Returns what its protocol asks of `evaluation`, by key; said, not forced."""
        return {}

    def published_figures(self) -> Sequence[Mapping[str, Any]]:
        """Returns what papers report of this very benchmark: method, order, source and figures.

        Figures are in percent, by what papers call them.
        """
        return ()

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task and probe by itself, by name.

        A stage is trained again only if the data that it learns have changed. By default a change
        of any task is one of every task.
        """
        whole = self.fingerprint()
        loaded = self.outline()
        names = [task.name for task in (*loaded.tasks.values(), *loaded.probes.values())]
        return {name: TaskFingerprint(whole, whole) for name in names}

    def forms(self) -> Mapping[str, TaskForm]:
        """Returns what is to be known of every task and probe before it is loaded, by name."""
        loaded = self.outline()
        return {task.name: task.form for task in (*loaded.tasks.values(), *loaded.probes.values())}

    def reference(self) -> ReferenceConfig | None:
        """Returns this benchmark's own pool, if any; used where a study names none."""
        return None

    def generator(self) -> GeneratorConfig | None:
        """Returns this benchmark's own generator, if any; used where a study names none."""
        return None

    @abstractmethod
    def load(self) -> Benchmark:
        """Loads or renders everything; every process does."""

    def outline(self) -> Benchmark:
        """Returns the same tasks and probes, perhaps without most images, if that is cheaper."""
        return self.load()
