"""Evaluates a method on everything: all tasks, held-out suites, mean embeddings.

What is measured of a task depends on its kind (`sweep.stage.task_scores`); one of its metrics is
its score. The split "alignment" of the results says how well its images fit the texts that are
right for them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from methods.data import Task
from sweep.registry import resolve
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import Scores, score
from sweep.stage.samples import TestSamples
from sweep.stage.stratified import sampling_error
from sweep.stage.task_scores import Measured, TaskEmbeddings, TaskScores
from sweep.stage.trainer import Trainer

DECIMALS = 6
"""Decimals of cosines and losses; single precision has no more."""


class Evaluator:
    """Evaluates one trainer's method; each worker takes its share of the samples."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.accelerator = trainer.accelerator
        benchmark = trainer.benchmark
        self.tasks = [("task", task) for task in benchmark.tasks.values()]
        self.tasks += [
            ("retrieval" if task.kind == "pairs" else "probe", task)
            for task in benchmark.probes.values()
        ]
        self.samples = TestSamples(trainer)
        self.diagnostics: list[Diagnostic] = [
            resolve("diagnostics", name)(self.samples)
            for name in trainer.study.evaluation.diagnostics
        ]
        keeps = any(diagnostic.needs_embeddings for diagnostic in self.diagnostics)
        self.measures = TaskScores(self.samples, keeps)

    @torch.no_grad()
    def evaluate(
        self, learnt: Sequence[str] = (), only: Sequence[str] = ()
    ) -> tuple[Scores, pa.Table]:
        """Returns scores and mean embeddings of the method as it is now; equal on every worker.

        Args:
            learnt: The tasks learnt so far: whose choices are offered if the study wants that, and
                what is in distribution for diagnostics.
            only: Evaluates on these tasks and on nothing else; empty: on everything.

        Returns:
            Rows of the results table (split, eval_task, metric, value, n, is_primary), and a table
            of eval_task, modality and the mean of the L2-normalised embeddings (float32 [D]);
            with the diagnostic "features" also embeddings of single samples.

        Raises:
            FloatingPointError: one of them is NaN or infinite.
        """
        self.trainer.method.eval()
        scores: Scores = []
        embeddings: list[dict[str, Any]] = []
        with self.accelerator.autocast():
            for group in self._groups(only):
                given: dict[str, torch.Tensor] = {}
                embedded: dict[str, TaskEmbeddings] = {}
                for split, task in group:
                    found = self.measures.measure(task, self._among(split, task, learnt))
                    scores += _rows(split, task, found)
                    if found.embedded is not None:
                        embedded[task.name] = found.embedded
                    if split == "task":
                        embeddings += _means(task, found)
                        if found.given is not None and task.form.has_classes:
                            given[task.name] = found.given
                for diagnostic in self.diagnostics if not only else ():
                    scores += diagnostic.of_tasks(given)
                    embeddings += diagnostic.embeddings(given)
                    if diagnostic.needs_embeddings:
                        scores += diagnostic.of_embeddings(embedded, learnt)
            # Methods that choose weights by the task of a sample have no model as a whole.
            if not self.trainer.knows_task and not only:
                for diagnostic in self.diagnostics:
                    scores += diagnostic.of_model()
        _check_finite(scores, embeddings)
        return scores, pa.Table.from_pylist(embeddings, schema=EMBEDDINGS)

    def _groups(self, only: Sequence[str]) -> Iterator[list[tuple[str, Task]]]:
        """Yields tasks that are evaluated with the same weights; probes come last."""
        method, backbone = self.trainer.method, self.trainer.backbone
        tasks = [item for item in self.tasks if item[0] == "task"]
        if only:
            tasks = [item for item in tasks if item[1].name in only]
        probes = [item for item in self.tasks if item[0] != "task"] if not only else []
        knows = self.trainer.knows_task
        groups = [*([item] for item in tasks), probes] if knows else [tasks + probes]
        for group in groups:
            is_task = knows and group and group[0][0] == "task"
            method.select(group[0][1].name if is_task else None)
            with backbone.frozen_texts([task for _, task in group]):
                yield group
        method.select(None)

    def _among(self, split: str, task: Task, learnt: Sequence[str]) -> Task:
        """Returns a task with the choices that are offered: its own, or those of others too."""
        offered = self.trainer.study.evaluation.choices
        if offered == "task" or split != "task" or not task.form.has_classes:
            return task
        others = tuple(
            other
            for name, other in self.trainer.benchmark.tasks.items()
            if other.form.has_classes and (offered == "all" or name in learnt or name == task.name)
        )
        choices = tuple(choice for other in others for choice in other.choices)
        return replace(task, choices=choices, others=others)


def _rows(split: str, task: Task, found: Measured) -> Scores:
    """Returns the rows of the results of one task."""
    count, rows = len(task.test), []
    for name, value in found.metrics.items():
        row = score(split, task.name, name, value, found.counts.get(name, count))
        rows.append(row | {"is_primary": True} if name == task.score else row)
    if task.tested_of and len(found.values):
        error = sampling_error(found.values, task.tested_of)
        rows.append(score(split, task.name, SAMPLING_ERROR, error, len(found.values)))
    if split == "task":
        for name, value in (("cosine", found.cosine), ("loss", found.loss)):
            rows.append(score("alignment", task.name, name, round(value, DECIMALS), count))
    return rows


SAMPLING_ERROR = "sampling_error"
"""Metric: the standard error of a score that was measured on some of a task's test samples."""
EMBEDDINGS = pa.schema(
    [
        ("eval_task", pa.string()),
        ("modality", pa.string()),
        ("sample", pa.int32()),
        ("choice", pa.int32()),
        ("vector", pa.list_(pa.float32())),
    ]
)
"""Sample and choice are null where the vector is a mean."""


def _check_finite(scores: Scores, embeddings: list[dict[str, Any]]) -> None:
    for row in scores:
        if not math.isfinite(row["value"]):
            where = f"{row['split']}/{row['metric']} on '{row['eval_task']}'"
            raise FloatingPointError(f"the score {where} is {row['value']}")
    for row in embeddings:
        bad = int((~np.isfinite(row["vector"])).sum())
        if bad:
            what = f"an embedding of {row['modality']} of '{row['eval_task']}'"
            raise FloatingPointError(f"{what} has {bad} values that are NaN or infinite")


def _means(task: Task, found: Measured) -> list[dict[str, Any]]:
    means = {"image": found.image, "text": found.text}
    return [
        {"eval_task": task.name, "modality": modality, "vector": mean.numpy()}
        for modality, mean in means.items()
    ]
