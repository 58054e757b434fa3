"""Evaluates a method on everything: all tasks, held-out suites, retrieval, mean embeddings.

The score of a task or a probe is its accuracy, or the mean accuracy of its classes
("class_accuracy"); both are always recorded, and `evaluation.score` of the study says which of them
counts.

Besides these, the split "alignment" of the results says how well its images fit
the texts of their right choices: `cosine`, the mean cosine of the two, and `loss`, the mean cross
entropy of the choices' similarities, in nats. For dual encoders that is the test loss. Fusion
backbones answer in another way, so for them it is the loss of their embeddings only.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from methods.data import Retrieval, Task
from sweep.registry import resolve
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import Scores, mean_recall, score, share_right
from sweep.stage.samples import TestSamples
from sweep.stage.trainer import Trainer
from sweep.study.evaluation import SCORES

RECALLS = (1, 5)
"""The k of recall at k in retrieval."""
DECIMALS = 6
"""Decimals of cosines and losses; single precision has no more."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a method answers to the test samples of one task; all but `given` are means."""

    given: Tensor
    """The answer to every sample: int64 [N], on the CPU; -1 for none of the choices."""
    accuracy: float
    class_accuracy: float
    """Mean over classes of the accuracy on their samples."""
    cosine: float
    """Cosine of an image with the text of its right choice."""
    loss: float
    """Cross entropy of the similarities of an image with all choices, in nats."""
    image: Tensor
    """L2-normalised embeddings: float32 [D], on the CPU."""
    text: Tensor
    """The same for the texts of all choices."""


class Evaluator:
    """Evaluates one trainer's method; each worker takes its share of the samples."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.accelerator = trainer.accelerator
        benchmark = trainer.benchmark
        self.tasks = [("task", task) for task in benchmark.tasks.values()]
        self.tasks += [("probe", task) for task in benchmark.probes.values()]
        self.retrieval = list(benchmark.retrieval.values())
        self.samples = TestSamples(trainer)
        self.diagnostics: list[Diagnostic] = [
            resolve("diagnostics", name)(self.samples)
            for name in trainer.study.evaluation.diagnostics
        ]

    @torch.no_grad()
    def evaluate(self) -> tuple[Scores, pa.Table]:
        """Returns scores and mean embeddings of the method as it is now; equal on every worker.

        Returns:
            Rows of the results table (split, eval_task, metric, value, n), and a table of
            eval_task, modality and the mean of the L2-normalised embeddings (float32 [D]);
            with the diagnostic "features" also embeddings of single samples.

        Raises:
            FloatingPointError: one of them is NaN or infinite.
        """
        self.trainer.method.eval()
        scores: Scores = []
        embeddings: list[dict[str, Any]] = []
        with self.accelerator.autocast():
            for group in self._groups():
                given: dict[str, Tensor] = {}
                for split, task in group:
                    answers, count = self._answers(task), len(task.test.labels)
                    for name in SCORES:
                        value = getattr(answers, name)
                        scores.append(score(split, task.name, name, value, count))
                    if split == "task":
                        for metric, value in (("cosine", answers.cosine), ("loss", answers.loss)):
                            scores.append(score("alignment", task.name, metric, value, count))
                        embeddings += _means(task, answers)
                        given[task.name] = answers.given
                for diagnostic in self.diagnostics:
                    scores += diagnostic.of_tasks(given)
                    embeddings += diagnostic.embeddings(given)
            for pairs in self.retrieval:
                scores += self._recall(pairs)
            # Methods that choose weights by the task of a sample have no model as a whole.
            for diagnostic in self.diagnostics if not self.trainer.method.uses_task_id else ():
                scores += diagnostic.of_model()
        _check_finite(scores, embeddings)
        return scores, pa.Table.from_pylist(embeddings, schema=EMBEDDINGS)

    def _groups(self) -> Iterator[list[tuple[str, Task]]]:
        """Yields tasks that are evaluated with the same weights; probes come last."""
        method, backbone = self.trainer.method, self.trainer.backbone
        groups = [[item] for item in self.tasks if item[0] == "task"] if method.uses_task_id else []
        groups.append([item for item in self.tasks if item[0] != "task" or not method.uses_task_id])
        for group in groups:
            method.select(group[0][1].name if group and group[0][0] == "task" else None)
            with backbone.frozen_texts([task for _, task in group]):
                yield group
        method.select(None)

    def _answers(self, task: Task) -> Answers:
        """Returns what the method answers to a task's test samples, over all workers."""
        method, backbone = self.trainer.method, self.trainer.backbone
        texts = backbone.embed_texts(backbone.texts(task)).float()
        # Texts come template by template: [templates * choices, D].
        choices = normalize(texts.view(-1, len(task.choices), texts.shape[1]).mean(0), dim=-1)
        total = torch.zeros(2 + texts.shape[1], dtype=torch.float64, device=backbone.device)
        answers = []
        for batch in self.samples.batches(task):
            answers.append((batch.ids, method.predict(batch)))
            images = backbone.embed_images(batch.pixels).float()
            cosines = (images * choices[batch.labels]).sum(1)
            fits = backbone.similarity(images, choices)
            losses = cross_entropy(fits, batch.labels, reduction="none")
            facts = torch.stack([cosines, losses], dim=1)
            total += torch.cat([facts, images], dim=1).double().sum(0)
        given = self.samples.gathered(task, answers)
        mean = sum(gather_object([total.cpu()])) / len(given)
        return Answers(
            given=given,
            accuracy=share_right(given, task),
            class_accuracy=mean_recall(given, task),
            cosine=round(float(mean[0]), DECIMALS),
            loss=round(float(mean[1]), DECIMALS),
            image=mean[2:].float(),
            text=texts.mean(0).cpu(),
        )

    def _recall(self, pairs: Retrieval) -> Scores:
        backbone, device = self.trainer.backbone, self.accelerator.device
        pixels = self.samples.retrieval_pixels(pairs)
        rows = [
            (ids, backbone.match(pixels[ids].to(device), pairs.captions).float().cpu())
            for ids in self.samples.shares(len(pairs.captions))
        ]
        gathered = gather_object(rows)
        fit = torch.empty(len(pairs.captions), len(pairs.captions))
        for ids, part in gathered:
            fit[ids] = part
        same = torch.from_numpy(np.equal.outer(*[np.array(pairs.captions, dtype=object)] * 2))
        return [
            score("retrieval", pairs.name, f"{way}_r{k}", recall(table, same, k), len(fit))
            for way, table in (("i2t", fit), ("t2i", fit.T))
            for k in RECALLS
        ]


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


def recall(fit: Tensor, relevant: Tensor, k: int) -> float:
    """Returns recall at k: the share of queries with a relevant candidate among the k best.

    Args:
        fit: float [Q, N], higher is better.
        relevant: bool [Q, N], at least one per query.
        k: Number of candidates that count. One is ahead of another only if strictly better.
    """
    best = fit.masked_fill(~relevant, -torch.inf).amax(1, keepdim=True)
    ahead = (fit > best).sum(1)
    return float((ahead < k).double().mean())


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


def _means(task: Task, answers: Answers) -> list[dict[str, Any]]:
    means = {"image": answers.image, "text": answers.text}
    return [
        {"eval_task": task.name, "modality": modality, "vector": mean.numpy()}
        for modality, mean in means.items()
    ]
