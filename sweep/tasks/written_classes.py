"""Lets the classes of a benchmark be written in answer to its questions, not chosen."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from methods.data import Split, Task
from sweep.tasks.base import SCORES_OF, BenchmarkConfig, TaskFingerprint


class ClassBenchmarkConfig(BenchmarkConfig):
    """A benchmark whose tasks and suites have classes, which are to be chosen or to be written."""

    kind: Literal["choices", "answers"] = Field(
        default="choices",
        description="answers: the class is not chosen but written in answer to the task's "
        "question, which fusion backbones can.",
    )

    def posed(self, tasks: Mapping[str, Task]) -> dict[str, Task]:
        """Returns tasks of the kind that is asked for."""
        return {
            name: in_words(task) if self.kind == "answers" else task for name, task in tasks.items()
        }

    def identified(self, parts: Mapping[str, TaskFingerprint]) -> dict[str, TaskFingerprint]:
        """Returns what identifies tasks, given what identifies them as `choices`."""
        if self.kind == "choices":
            return dict(parts)
        return {
            name: TaskFingerprint(self._marked(part.train), self._marked(part.test))
            for name, part in parts.items()
        }

    def _marked(self, part: str) -> str:
        return hashlib.sha256(f"{self.kind} {part}".encode()).hexdigest()


def in_words(task: Task) -> Task:
    """Returns the same pictures and questions, with the right class as the answer to be written.

    >>> seen = Split(np.zeros((2, 8, 8, 3), np.uint8), np.array([1, 0]))
    >>> task = in_words(Task("pets", ("cat", "dog"), ("a {}",), "Which pet is this?", seen, seen))
    >>> task.kind, task.score, task.choices, task.test.texts
    ('answers', 'exact_match', (), (('dog',), ('cat',)))
    """

    def written(split: Split) -> Split:
        answers = tuple((task.choices[label],) for label in split.labels)
        return replace(split, labels=np.zeros_like(split.labels), texts=answers)

    return replace(
        task,
        choices=(),
        templates=("{}",),
        train=written(task.train),
        test=written(task.test),
        kind="answers",
        score=SCORES_OF["answers"][0],
    )
