"""Defines the benchmark of real pictures, and the pairs that some methods look at beside it."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from pydantic import Field, field_validator

from methods.data import Images, Split, Task
from sweep.errors import InputError, unknown
from sweep.tasks.base import Benchmark, ReferenceConfig, TaskFingerprint
from sweep.tasks.pictures.task_list import CAPTIONS, SUITES, TASKS, PictureTask
from sweep.tasks.written_classes import ClassBenchmarkConfig

TABLE = Path(__file__).parents[2] / "assets" / "pictures" / "pictures.parquet"
"""All pictures that ship, with what they show, where they are from, and their licences."""

Row = Mapping[str, Any]


class Pictures(ClassBenchmarkConfig):
    """Ten tasks of real pictures: clothes, digits, emoji, clip art, cards, letters; no download."""

    name: str = "pictures"
    tasks: tuple[str, ...] | None = Field(
        default=None, description=f"Some of {', '.join(TASKS)}; null: all."
    )
    train: int | None = Field(
        default=None, ge=1, description="Most training images of a task; null: all there are."
    )
    test: int | None = Field(
        default=None, ge=1, description="Most test images of a task or suite; null: all there are."
    )

    @field_validator("tasks")
    @classmethod
    def _known_and_once(cls, tasks: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in tasks or ():
            if name not in TASKS:
                raise unknown("task", name, TASKS)
        if tasks is not None and (not tasks or len(set(tasks)) < len(tasks)):
            raise InputError(f"tasks: got {list(tasks)}; give one or more, each named once.")
        return tasks

    def task_names(self) -> tuple[str, ...]:
        """Returns the tasks; reads nothing."""
        return self.tasks or tuple(TASKS)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of what identifies the tasks, the suites and the pairs."""
        return _digest(sorted(self.fingerprints().items()))

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task by its pixels, their classes, choices, prompts and question."""
        found = {}
        for name in (*self.task_names(), *SUITES):
            task = (TASKS | SUITES)[name]
            facts = (tuple(task.classes), task.templates, task.question)
            own = {part: _digest(facts, _content(self._rows(task, part))) for part in _parts(task)}
            found[name] = TaskFingerprint(own.get("train", own["test"]), own["test"])
        pairs = _digest([(row["sha256_image"], row["caption"]) for row in _pool("retrieval")])
        return self.identified(found) | {CAPTIONS: TaskFingerprint(pairs, pairs)}

    def reference(self) -> ReferenceConfig:
        """Returns captioned pictures that are in no task."""
        return PicturePool()

    def load(self) -> Benchmark:
        """Decodes the pictures of the tasks, the held-out suites and the pairs."""
        tasks = {name: self._task(TASKS[name]) for name in self.task_names()}
        suites = {name: self._task(suite) for name, suite in SUITES.items()}
        return Benchmark(self.posed(tasks), {**self.posed(suites), CAPTIONS: _retrieval()})

    def _rows(self, task: PictureTask, part: str) -> Sequence[tuple[Row, int]]:
        """Returns the rows of a part of a task, each with its class.

        Classes take turns, so that fewer pictures are as good a mixture as all.
        """
        most = self.train if part == "train" else self.test
        return _turns(task.name, part)[:most]

    def _task(self, task: PictureTask) -> Task:
        splits = {part: _split(self._rows(task, part)) for part in _parts(task)}
        return Task(
            name=task.name,
            choices=tuple(task.classes),
            templates=task.templates,
            question=task.question,
            train=splits.get("train", splits["test"]),
            test=splits["test"],
        )


class PicturePool(ReferenceConfig):
    """Captioned pictures that are in no task: those that tiny-clip-pictures was pretrained on."""

    name: str = "pictures"
    size: int = Field(default=1000, ge=1, description="Image-caption pairs, at most.")

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the pixels and their captions."""
        return _digest([(row["sha256_image"], row["caption"]) for row in self._rows()])

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Decodes the pictures."""
        rows = self._rows()
        return _decoded(rows), tuple(row["caption"] for row in rows)

    def _rows(self) -> Sequence[Row]:
        return _pool("pretrain")[: self.size]


@cache
def _table() -> Sequence[Row]:
    columns = ["image", "caption", "tasks", "pool", "sha256_image"]
    rows: list[Row] = pq.read_table(TABLE, columns=columns).to_pylist()
    return rows


def _pool(pool: str) -> Sequence[Row]:
    return [row for row in _table() if row["pool"] == pool]


def _parts(task: PictureTask) -> tuple[str, ...]:
    return ("test",) if task.is_probe else ("train", "test")


@cache
def _turns(name: str, part: str) -> Sequence[tuple[Row, int]]:
    """Returns the rows of a part of a task with their classes, one of every class in turn."""
    labels = {label: i for i, label in enumerate((TASKS | SUITES)[name].classes)}
    by_class = defaultdict[int, list[Row]](list)
    for row in _table():
        for use in row["tasks"]:
            if (use["task"], use["split"]) == (name, part):
                by_class[labels[use["label"]]].append(row)
    placed = [
        (place, label, row) for label, rows in by_class.items() for place, row in enumerate(rows)
    ]
    placed.sort(key=lambda one: one[:2])
    return [(row, label) for _, label, row in placed]


def _split(rows: Sequence[tuple[Row, int]]) -> Split:
    return Split(
        _decoded([row for row, _ in rows]), np.array([label for _, label in rows], np.int64)
    )


def _retrieval() -> Task:
    rows = _pool("retrieval")
    pairs = Split.of_captions(_decoded(rows), [(row["caption"],) for row in rows])
    return Task(
        name=CAPTIONS,
        choices=(),
        templates=("{}",),
        question="",
        train=pairs,
        test=pairs,
        kind="pairs",
        score="recall",
    )


def _decoded(rows: Sequence[Row]) -> np.ndarray:
    """Returns uint8 [N, 32, 32, 3]."""
    opened = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB") for row in rows]
    return np.stack([np.asarray(picture) for picture in opened])


def _content(rows: Sequence[tuple[Row, int]]) -> list[tuple[str, int]]:
    return [(row["sha256_image"], label) for row, label in rows]


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
