"""Scores as one dense array, so that thousands of accuracy matrices are one indexing away."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

Stage = tuple[str, str, int, tuple[str, ...]]
"""(backbone, method, replicate, prefix)."""
Evaluation = tuple[str, str, str]
"""(split, eval_task, metric)."""


class Run(NamedTuple):
    """One order, trained with one method from one backbone in one replicate."""

    backbone: str
    method: str
    replicate: int
    order: tuple[str, ...]

    @property
    def stages(self) -> list[Stage]:
        """Its T + 1 stages, the untouched backbone first."""
        return [(*self[:3], self.order[:k]) for k in range(len(self.order) + 1)]


@dataclass(frozen=True, eq=False)
class Scores:
    """Every score of a study.

    Attributes:
        values: [stages + 1, evaluations + 1]; NaN where nothing was measured. The last row and
            the last column are all NaN: what is looked up in vain is found there.
        rows: the row of every stage.
        columns: the column of every evaluation.
    """

    values: np.ndarray
    rows: dict[Stage, int]
    columns: dict[Evaluation, int]

    @classmethod
    def from_long(cls, ok: pd.DataFrame) -> "Scores":
        """From the rows of the long table that hold scores, each score once."""
        stages = list(zip(ok["backbone"], ok["method"], ok["replicate"], ok["prefix"], strict=True))
        evaluations = list(zip(ok["split"], ok["eval_task"], ok["metric"], strict=True))
        rows = {stage: i for i, stage in enumerate(dict.fromkeys(stages))}
        columns = {evaluation: i for i, evaluation in enumerate(sorted(set(evaluations)))}
        values = np.full((len(rows) + 1, len(columns) + 1), np.nan)
        values[[rows[s] for s in stages], [columns[e] for e in evaluations]] = ok["value"]
        return cls(values, rows, columns)

    @cached_property
    def probes(self) -> list[Evaluation]:
        """The accuracy on every held-out probe."""
        return [column for column in self.columns if column[0] == "probe"]

    def retrieval(self, recalls: Sequence[str]) -> list[Evaluation]:
        """These recalls ("i2t_r1", ...) of every retrieval set."""
        return [c for c in self.columns if c[0] == "retrieval" and c[2] in recalls]

    def matrices(self, runs: Sequence[Run]) -> np.ndarray:
        """Accuracy matrices R [runs, T + 1, T] of runs of one length, columns in learning order."""
        nowhere = len(self.columns)
        tasks = [
            [self.columns.get(("task", task, "accuracy"), nowhere) for task in run.order]
            for run in runs
        ]
        found: np.ndarray = self.values[self._stages(runs)[:, :, None], np.array(tasks)[:, None, :]]
        return found

    def along(self, runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> np.ndarray:
        """Scores [runs, T + 1, evaluations] at every stage of runs of one length."""
        columns = np.array([self.columns[e] for e in evaluations], int)
        found: np.ndarray = self.values[self._stages(runs)[:, :, None], columns]
        return found

    def missing(self, run: Run) -> int:
        """How many of its stages 1..T lack the accuracy of a task learnt so far."""
        learnt = np.tri(len(run.order), dtype=bool)
        return int((np.isnan(self.matrices([run])[0, 1:]) & learnt).any(axis=1).sum())

    def _stages(self, runs: Sequence[Run]) -> np.ndarray:
        nowhere = len(self.rows)
        return np.array([[self.rows.get(s, nowhere) for s in run.stages] for run in runs])
