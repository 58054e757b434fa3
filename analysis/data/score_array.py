"""Scores as one dense array, so that thousands of accuracy matrices are one indexing away."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

StageKey = tuple[str, str, int, tuple[str, ...]]
"""(backbone, method, replicate, prefix)."""
EvaluationKey = tuple[str, str, str]
"""(split, eval_task, metric)."""


OOD_UNLEARNT: EvaluationKey = ("ood_cumulative", "all tasks", "unlearnt")
"""The AUROC of telling images of learnt tasks from those of tasks that are not learnt yet."""


class RunKey(NamedTuple):
    """Identifies one order, trained with one method from one backbone in one replicate."""

    backbone: str
    method: str
    replicate: int
    order: tuple[str, ...]

    @property
    def stages(self) -> list[StageKey]:
        """Returns its T + 1 stages, the untouched backbone first."""
        return [(*self[:3], self.order[:k]) for k in range(len(self.order) + 1)]


ACCURACIES = {"accuracy", "class_accuracy"}
"""Metrics that are shares of right choices."""


class ScoreWords(NamedTuple):
    """Holds the words for what tasks are scored by.

    >>> words_for(["accuracy", "class_accuracy"]).most, words_for(["accuracy", "recall"]).noun
    ('most accurate', 'score')
    """

    noun: str
    plural: str
    more: str
    """What a method is that has a higher one."""
    most: str
    """What the method with the highest one is."""


ACCURACY = ScoreWords("accuracy", "accuracies", "more accurate", "most accurate")
SCORE = ScoreWords("score", "scores", "better", "best")


def words_for(metrics: Iterable[str]) -> ScoreWords:
    """Returns the words for tasks of these scores: of accuracy only if all of them are some."""
    return ACCURACY if ACCURACIES.issuperset(metrics) else SCORE


@dataclass(frozen=True, eq=False)
class ScoreArray:
    """Holds every score of a study.

    Attributes:
        values: [stages + 1, evaluations + 1]; NaN where nothing was measured. The last row and
            the last column are all NaN: keys that are not there lead to them.
        rows: the row of every stage.
        columns: the column of every evaluation.
        scored: the metric that is the score of a task or a probe, by split and name.
    """

    values: np.ndarray
    rows: dict[StageKey, int]
    columns: dict[EvaluationKey, int]
    scored: dict[tuple[str, str], str]

    @classmethod
    def from_long(cls, ok: pd.DataFrame) -> "ScoreArray":
        """Returns the scores in the rows of the long table, each once."""
        row, stages = _numbered(ok, ["backbone", "method", "replicate", "prefix"])
        found, evaluations = _numbered(ok, ["split", "eval_task", "metric"])
        rows = {stage: i for i, stage in enumerate(stages)}
        columns = {evaluation: i for i, evaluation in enumerate(sorted(evaluations))}
        column = np.array([columns[evaluation] for evaluation in evaluations], int)
        values = np.full((len(rows) + 1, len(columns) + 1), np.nan)
        values[row, column[found]] = ok["value"]
        return cls(values, rows, columns, _scored(ok))

    def score(self, split: str, name: str) -> EvaluationKey:
        """Returns the evaluation that is the score of a task or a probe."""
        return split, name, self.scored.get((split, name), "")

    @property
    def words(self) -> ScoreWords:
        """Returns what sentences call the scores of the tasks."""
        return words_for(metric for (split, _), metric in self.scored.items() if split == "task")

    @cached_property
    def probes(self) -> list[EvaluationKey]:
        """Returns the score of every held-out probe."""
        names = dict.fromkeys(name for split, name, _ in self.columns if split == "probe")
        return [self.score("probe", name) for name in names]

    def retrieval(self, recalls: Sequence[str]) -> list[EvaluationKey]:
        """Returns these recalls ("i2t_r1", ...) of every retrieval set."""
        return [c for c in self.columns if c[0] == "retrieval" and c[2] in recalls]

    def locate(self, runs: Sequence[RunKey]) -> np.ndarray:
        """Returns the rows of `values` of the stages of runs of one length, [runs, T + 1]."""
        nowhere = len(self.rows)
        return np.array([[self.rows.get(s, nowhere) for s in run.stages] for run in runs])

    def matrices(self, runs: Sequence[RunKey], where: np.ndarray | None = None) -> np.ndarray:
        """Returns the matrices R [runs, T + 1, T] of runs of one length, columns in learning order.

        `where` saves locating the runs again.
        """
        where = self.locate(runs) if where is None else where
        tasks = np.array([self._tasks(run) for run in runs])
        found: np.ndarray = self.values[where[:, :, None], tasks[:, None, :]]
        return found

    def _tasks(self, run: RunKey) -> list[int]:
        """Returns the columns of the scores of the tasks of a run, in learning order."""
        return [self.columns.get(self.score("task", t), len(self.columns)) for t in run.order]

    def along(self, where: np.ndarray, evaluations: Sequence[EvaluationKey]) -> np.ndarray:
        """Returns scores [runs, T + 1, evaluations] at every stage of located runs."""
        columns = np.array([self.columns.get(e, len(self.columns)) for e in evaluations], int)
        found: np.ndarray = self.values[where[:, :, None], columns]
        return found

    @cached_property
    def ood_probes(self) -> list[EvaluationKey]:
        """Returns the AUROC of telling images of learnt tasks from those of every probe."""
        return [c for c in self.columns if c[0] == "ood_cumulative" and c[2] == "probe"]

    def ood_pairs(self, runs: Sequence[RunKey], where: np.ndarray) -> np.ndarray:
        """Returns the AUROC of telling tasks apart in runs of one length, [runs, T + 1, T (T - 1)].

        Columns are ordered pairs of tasks by their places in the run: the first is in distribution.
        """
        nowhere = len(self.columns)
        pairs = [
            [self.columns.get(("ood", *pair), nowhere) for pair in permutations(run.order, 2)]
            for run in runs
        ]
        found: np.ndarray = self.values[where[:, :, None], np.array(pairs, int)[:, None, :]]
        return found

    @cached_property
    def routed(self) -> list[str]:
        """Returns the tasks and probes of which is known for whose task their samples are taken."""
        names = (name for split, name, _ in self.columns if split == "routing")
        return list(dict.fromkeys(names))

    def routing(
        self, runs: Sequence[RunKey], where: np.ndarray, of: Sequence[Sequence[str]]
    ) -> np.ndarray:
        """Returns shares in the answers to samples, [runs, T + 1, samples, T].

        Args:
            runs: of one length; the last axis are their tasks in learning order.
            where: see `locate`.
            of: per run, the tasks or probes that the samples are of.
        """
        nowhere, num_tasks = len(self.columns), where.shape[1] - 1
        keys = [
            [("routing", one, task) for one in names for task in run.order]
            for names, run in zip(of, runs, strict=True)
        ]
        columns = [[self.columns.get(key, nowhere) for key in row] for row in keys]
        found: np.ndarray = self.values[where[:, :, None], np.array(columns, int)[:, None, :]]
        return found.reshape(*where.shape, -1, num_tasks)

    def missing(self, runs: Sequence[RunKey], every: Sequence[int]) -> np.ndarray:
        """Returns how many of the stages 1..T lack the score of a task learnt so far, [runs].

        Args:
            runs: of any lengths.
            every: after how many stages each of them is evaluated on all tasks; after the others
                only the task just learnt counts.
        """
        counts, steps = np.zeros(len(runs), int), np.asarray(every, int)
        lengths = np.array([len(run.order) for run in runs], int)
        for length in np.unique(lengths):
            mine = np.flatnonzero(lengths == length)
            R = self.matrices([runs[int(i)] for i in mine])[:, 1:]
            stages = np.arange(1, length + 1)
            is_whole = (stages % steps[mine, None] == 0) | (stages == length)
            learnt = np.tri(length, dtype=bool)
            needed = np.where(is_whole[:, :, None], learnt, np.eye(length, dtype=bool))
            counts[mine] = (np.isnan(R) & needed).any(axis=2).sum(axis=1)
        return counts

    def are_finished(self, runs: Sequence[RunKey]) -> np.ndarray:
        """Returns whether the last stage of each run was measured on any of its tasks, [runs]."""
        last = [self.rows.get(run.stages[-1], len(self.rows)) for run in runs]
        ends = (self.values[row, self._tasks(run)] for row, run in zip(last, runs, strict=True))
        return np.array([bool(np.isfinite(end).any()) for end in ends], bool)


def _scored(ok: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Returns the metric of the rows that are scores, by split and name.

    Raises:
        ValueError: some stages say one metric and some another.
    """
    scored = ok[ok["split"].isin(("task", "probe"))]
    # Null, or no column, in results that were written before there was a choice.
    chosen = scored["is_score"] if "is_score" in scored else pd.Series(None, scored.index, object)
    mine = scored[chosen.eq(True) | (chosen.isna() & (scored["metric"] == "accuracy"))]
    found: dict[tuple[str, str], str] = {}
    names = ["split", "eval_task", "metric"]
    for split, name, metric in mine[names].drop_duplicates().itertuples(index=False):
        if found.setdefault((split, name), metric) != metric:
            raise ValueError(
                f"The score of {split} '{name}' is {found[split, name]} after some stages and "
                f"{metric} after others; run the study again, which writes its results anew."
            )
    return found


def _numbered(frame: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, list[Any]]:
    """Returns the distinct rows of some columns as tuples, and the number of every row in them."""
    number = np.zeros(len(frame), np.int64)
    parts = []
    for name in names:
        codes, unique = pd.factorize(frame[name])
        number = number * max(1, len(unique)) + codes
        parts.append((codes, unique))
    number, first = pd.factorize(number)[0], np.flatnonzero(~pd.Series(number).duplicated())
    columns = [np.asarray(unique, object)[codes[first]] for codes, unique in parts]
    return number, list(zip(*columns, strict=True))
