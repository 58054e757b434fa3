"""Evaluate a method on everything: all tasks, held-out suites, retrieval, mean embeddings."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils import gather_object
from torch import Tensor

from methods.data import Batch, Retrieval, Task
from sweep.learner import Learner, make_batch
from sweep.tasks.pixels import Pixels

Scores = list[dict[str, Any]]
RECALLS = (1, 5)


class Evaluator:
    """Evaluates one learner; each worker takes its share of the samples."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.accelerator = learner.accelerator
        benchmark = learner.benchmark
        self.tasks = [("task", task) for task in benchmark.tasks.values()]
        self.tasks += [("probe", task) for task in benchmark.probes.values()]
        self.retrieval = list(benchmark.retrieval.values())
        self._pixels: dict[str, Pixels] = {}

    @torch.no_grad()
    def evaluate(self) -> tuple[Scores, pa.Table]:
        """Scores and mean embeddings of the method as it is now; equal on every worker.

        Returns:
            Rows of the results table (split, eval_task, metric, value, n), and a table of
            eval_task, modality and the mean of the L2-normalised embeddings (float32 [D]).
        """
        self.learner.method.eval()
        scores: Scores = []
        embeddings: list[dict[str, Any]] = []
        with self.accelerator.autocast():
            for group in self._groups():
                for split, task in group:
                    correct, image_mean = self._answers(task)
                    count = len(task.test.labels)
                    scores.append(_score(split, task.name, "accuracy", correct / count, count))
                    if split == "task":
                        embeddings += self._means(task, image_mean)
            for pairs in self.retrieval:
                scores += self._recall(pairs)
        return scores, pa.Table.from_pylist(embeddings, schema=EMBEDDINGS)

    def _groups(self) -> Iterator[list[tuple[str, Task]]]:
        """Tasks that are evaluated with the same weights; data of no task comes last."""
        method, backbone = self.learner.method, self.learner.backbone
        groups = [[item] for item in self.tasks if item[0] == "task"] if method.routes else []
        groups.append([item for item in self.tasks if item[0] != "task" or not method.routes])
        for group in groups:
            method.select(group[0][1].name if group and group[0][0] == "task" else None)
            with backbone.frozen_texts([task for _, task in group]):
                yield group
        method.select(None)

    def _means(self, task: Task, image_mean: Tensor) -> list[dict[str, Any]]:
        backbone = self.learner.backbone
        text_mean = backbone.embed_texts(backbone.texts(task)).float().mean(0).cpu()
        return [
            {"eval_task": task.name, "modality": modality, "vector": mean.numpy()}
            for modality, mean in (("image", image_mean), ("text", text_mean))
        ]

    def _answers(self, task: Task) -> tuple[int, Tensor]:
        """Number of right answers and the mean image embedding, over all workers."""
        method, backbone = self.learner.method, self.learner.backbone
        correct = torch.zeros((), dtype=torch.int64, device=backbone.device)
        total: Tensor | float = 0.0
        for batch in self._batches(task):
            correct += (method.predict(batch) == batch.labels).sum()
            total = total + backbone.embed_images(batch.pixels).double().sum(0)
        shares = gather_object([(int(correct), torch.as_tensor(total).cpu())])
        mean = sum(share for _, share in shares) / len(task.test.labels)
        return sum(count for count, _ in shares), torch.as_tensor(mean).float()

    def _batches(self, task: Task) -> Iterator[Batch]:
        if task.name not in self._pixels:
            self._pixels[task.name] = self.learner.pixels("test", task)
        labels = torch.from_numpy(task.test.labels)
        for ids in self._shares(len(labels)):
            yield make_batch(
                task,
                self._pixels[task.name],
                labels,
                task.test.questions,
                ids,
                self.accelerator.device,
            )

    def _shares(self, count: int) -> Iterator[Tensor]:
        """This worker's sample ids, in batches."""
        ids = torch.arange(self.accelerator.process_index, count, self.accelerator.num_processes)
        yield from torch.split(ids, self.learner.study.evaluation.batch_size)

    def _recall(self, pairs: Retrieval) -> Scores:
        backbone, device = self.learner.backbone, self.accelerator.device
        if pairs.name not in self._pixels:
            self._pixels[pairs.name] = self.learner.retrieval_pixels(pairs)
        pixels = self._pixels[pairs.name]
        rows = [
            (ids, backbone.match(pixels[ids].to(device), pairs.captions).float().cpu())
            for ids in self._shares(len(pairs.captions))
        ]
        gathered = gather_object(rows)
        fit = torch.empty(len(pairs.captions), len(pairs.captions))
        for ids, part in gathered:
            fit[ids] = part
        same = torch.from_numpy(np.equal.outer(*[np.array(pairs.captions, dtype=object)] * 2))
        return [
            _score("retrieval", pairs.name, f"{way}_r{k}", recall(table, same, k), len(fit))
            for way, table in (("i2t", fit), ("t2i", fit.T))
            for k in RECALLS
        ]


EMBEDDINGS = pa.schema(
    [
        ("eval_task", pa.string()),
        ("modality", pa.string()),
        ("vector", pa.list_(pa.float32())),
    ]
)


def recall(fit: Tensor, relevant: Tensor, k: int) -> float:
    """Recall at k: the share of queries with a relevant candidate among the k best.

    Args:
        fit: float [Q, N], higher is better.
        relevant: bool [Q, N], at least one per query.
        k: Candidates looked at. A candidate is ahead of another only if strictly better.
    """
    best = fit.masked_fill(~relevant, -torch.inf).amax(1, keepdim=True)
    ahead = (fit > best).sum(1)
    return float((ahead < k).double().mean())


def _score(split: str, name: str, metric: str, value: float, n: int) -> dict[str, Any]:
    return {"split": split, "eval_task": name, "metric": metric, "value": value, "n": n}
