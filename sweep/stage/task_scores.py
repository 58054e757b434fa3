"""Measures what a method knows of one task: its metrics, by the kind of task.

    choices     accuracy, and class_accuracy, the mean of the accuracies on single classes
    pairs       recall at 1, 5 and 10 of captions given an image (i2t_r1, ...) and of images given
                a caption (t2i_r1, ...); recall, the mean of the two recalls at 1; of equal fits
                any order counts as likely
    answers     those of sweep/stage/answer_scores.py that make sense for the references, and
                likelihood, the mean over samples of exp(-loss)

The score of a task is one of them, all of which lie in 0..1.

Besides these there is, of every kind: `cosine`, the mean cosine of an image with the text that is
right for it, and `loss`, in nats. Of `choices` with classes the loss is the mean cross entropy of
the similarities of images and classes, of `pairs` the mean of both directions of that of images and
captions of the whole test split, elsewhere that of what is to be written. For dual encoders it is
the test loss. Fusion backbones answer in another way than by similarity, so where there are classes
it is the loss of their embeddings only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from methods.backbones.base import UNDECIDED
from methods.data import Batch, Split, Task
from sweep.stage.answer_scores import ANSWER_SCORES, applicable
from sweep.stage.rows import mean_recall, share_right
from sweep.stage.samples import TaskBatches, TestSamples

RECALLS = (1, 5, 10)
"""The k of recall at k."""


@dataclass(frozen=True, eq=False)
class TaskEmbeddings:
    """The embeddings that a task with classes was scored with, L2-normalised, on the device."""

    ids: Tensor
    """This worker's test samples: int64 [N], on the CPU."""
    images: Tensor
    """Of these samples: float32 [N, D]."""
    classes: Tensor
    """Of all choices, each the mean over its texts: float32 [C, D]."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What is found about one task; all but `given`, `values` and `embedded` are means."""

    metrics: Mapping[str, float]
    """By name; what is here lies in 0..1."""
    counts: Mapping[str, int]
    """How many test samples are behind each metric, where it is not all of them."""
    values: np.ndarray
    """float64 [N]: the score of every sample, or of every picture of `pairs`."""
    cosine: float
    """Cosine of an image with the text that is right for it."""
    loss: float
    """In nats."""
    image: Tensor
    """L2-normalised embeddings: float32 [D], on the CPU."""
    text: Tensor
    """The same for the texts of all choices, or those that belong to the samples."""
    given: Tensor | None = None
    """The choice given to every sample: int64 [N], on the CPU; -1 for none. None: no choices."""
    embedded: TaskEmbeddings | None = None
    """Of tasks with classes, if embeddings are kept."""


class TaskScores:
    """Measures one method on tasks of every kind; each worker takes its share of the samples."""

    def __init__(self, samples: TestSamples, keeps_embeddings: bool = False) -> None:
        self.samples = samples
        self.keeps_embeddings = keeps_embeddings
        self.method, self.backbone = samples.trainer.method, samples.trainer.backbone

    def measure(self, task: Task, among: Task) -> Measured:
        """Returns what the method knows of a task; equal on every worker.

        Args:
            task: The task.
            among: The same task with all choices that are offered.
        """
        if task.kind == "pairs":
            return self._pairs(task)
        if task.kind == "answers":
            return self._answers(task)
        return self._classes(task, among) if task.choices else self._own_choices(task)

    def _classes(self, task: Task, among: Task) -> Measured:
        backbone = self.backbone
        texts = backbone.embed_texts(backbone.texts(task)).float()
        # Texts come template by template: [templates * choices, D].
        choices = normalize(texts.view(-1, len(task.choices), texts.shape[1]).mean(0), dim=-1)
        kept: list[tuple[Tensor, Tensor]] = []

        def facts(batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
            if self.keeps_embeddings:
                kept.append((batch.ids, images))
            cosines = (images * choices[batch.labels]).sum(1)
            fits = backbone.similarity(images, choices)
            return cosines, cross_entropy(fits, batch.labels, reduction="none")

        given, means = self._chosen(task, facts, among)
        metrics = {
            "accuracy": share_right(given, task),
            "class_accuracy": mean_recall(given, task),
        }
        found = _of_choices(task, given, metrics, means, texts.mean(0).cpu())
        if not self.keeps_embeddings:
            return found
        ids, images = (torch.cat(column) for column in zip(*kept, strict=True))
        return replace(found, embedded=TaskEmbeddings(ids, images, choices))

    def _own_choices(self, task: Task) -> Measured:
        width = self.backbone.width
        said = torch.zeros(width, dtype=torch.float64, device=self.backbone.device)

        def facts(batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
            losses = self.backbone.loss(batch).float()
            texts = self.backbone.embed_texts(batch.targets).float()  # known from the loss
            said.add_(texts.double().sum(0))
            return (images * texts).sum(1), losses

        given, means = self._chosen(task, facts, task)
        text = (sum(gather_object([said.cpu()])) / len(given)).float()
        return _of_choices(task, given, {"accuracy": share_right(given, task)}, means, text)

    def _chosen(
        self,
        task: Task,
        facts: Callable[[Batch, Tensor], tuple[Tensor, Tensor]],
        among: Task,
    ) -> tuple[Tensor, Tensor]:
        """Returns the choices given (int64 [N]), and means of cosine, loss and embeddings."""
        total = torch.zeros(2 + self.backbone.width, dtype=torch.float64)
        total, answers = total.to(self.backbone.device), []
        own = {choice: i for i, choice in enumerate(task.choices)}
        known = torch.tensor([own.get(choice, -1) for choice in among.choices] + [UNDECIDED, -1])
        for batch, given in self.method.predictions(TaskBatches(self.samples, task, among)):
            # Equal names are equal answers, whichever task they come from; what is no choice (-1,
            # UNDECIDED) counts from the end.
            answers.append((batch.ids, known[given.cpu()] if task.choices else given))
            images = self.backbone.embed_images(batch.pixels).float()
            cosines, losses = facts(batch, images)
            row = torch.stack([cosines, losses], dim=1)
            total += torch.cat([row, images], dim=1).double().sum(0)
        return self.samples.gathered(task, answers), self._mean(total, len(task.test))

    def _mean(self, total: Tensor, count: int) -> Tensor:
        mean: Tensor = sum(gather_object([total.cpu()])) / count
        return mean

    def _pairs(self, task: Task) -> Measured:
        backbone, split = self.backbone, task.test
        captions = tuple(text for texts in split.texts or () for text in texts)
        texts = backbone.embed_texts(captions).float().cpu()
        parts = []
        for numbers in self.samples.shares(len(split.pictures)):
            pixels = self.samples.images(task)[numbers].to(backbone.device)
            images = backbone.embed_images(pixels).float().cpu()
            parts.append((numbers, images, backbone.match(pixels, captions).float().cpu()))
        fit = torch.empty(len(split.pictures), len(captions))
        images = torch.empty(len(split.pictures), texts.shape[1])
        for numbers, embeddings, rows in gather_object(parts):
            images[numbers], fit[numbers] = embeddings, rows
        if bad := fit.numel() - int(fit.isfinite().sum()):
            raise FloatingPointError(
                f"the fit of images and captions of '{task.name}' is NaN or infinite in {bad} of "
                f"{fit.numel()} places; lower the learning rate, or mend the method"
            )
        right = relevant(split)
        ways = {"i2t": (fit, right), "t2i": (fit.T, right.T)}
        hits = {f"{way}_r{k}": found_among(*both, k) for way, both in ways.items() for k in RECALLS}
        metrics = {name: float(of_queries.mean()) for name, of_queries in hits.items()}
        shares = right.float()
        losses = [
            cross_entropy(table, target / target.sum(dim=1, keepdim=True))
            for table, target in ((fit, shares), (fit.T, shares.T))
        ]
        shown = torch.from_numpy(split.shown)
        own = torch.zeros(len(fit), dtype=torch.float64)
        own.index_add_(0, shown, hits["t2i_r1"])
        own /= torch.bincount(shown, minlength=len(fit))
        return Measured(
            metrics={"recall": (metrics["i2t_r1"] + metrics["t2i_r1"]) / 2} | metrics,
            counts={name: len(fit) for name in metrics if name.startswith("i2t")},
            values=(hits["i2t_r1"] + own).div(2).numpy(),
            cosine=float((images[shown] * texts).sum(1).mean()),
            loss=float(sum(losses)) / 2,
            image=images.mean(0),
            text=texts.mean(0),
        )

    def _answers(self, task: Task) -> Measured:
        width = self.backbone.width
        total = torch.zeros(3 + 2 * width, dtype=torch.float64, device=self.backbone.device)
        written: list[tuple[list[int], list[str]]] = []
        for batch in self.samples.batches(task):
            written.append((batch.ids.tolist(), self.method.write(batch)))
            images = self.backbone.embed_images(batch.pixels).float()
            texts = self.backbone.embed_texts(batch.targets).float()
            losses = self.backbone.loss(batch).float()
            facts = torch.stack([(images * texts).sum(1), losses, (-losses).exp()], dim=1)
            total += torch.cat([facts, images, texts], dim=1).double().sum(0)
        answers = [""] * len(task.test)
        for ids, some in gather_object(written):
            for i, answer in zip(ids, some, strict=True):
                answers[i] = answer
        references = list(task.test.texts or ())
        names = dict.fromkeys((task.score, *applicable(references)))
        values = {
            name: ANSWER_SCORES[name](answers, references)
            for name in names
            if name in ANSWER_SCORES
        }
        mean = self._mean(total, len(answers))
        # CIDEr alone can be larger.
        metrics = {name: min(float(each.mean()), 1.0) for name, each in values.items()}
        if "cider" in values:
            metrics["cider_uncut"] = float(values["cider"].mean())
        return Measured(
            metrics=metrics | {"likelihood": float(mean[2])},
            counts={},
            values=values.get(task.score, np.empty(0)),
            cosine=float(mean[0]),
            loss=float(mean[1]),
            image=mean[3 : 3 + width].float(),
            text=mean[3 + width :].float(),
        )


def _of_choices(
    task: Task, given: Tensor, metrics: Mapping[str, float], means: Tensor, text: Tensor
) -> Measured:
    return Measured(
        metrics=metrics,
        counts={},
        values=(given == torch.from_numpy(task.test.labels)).double().numpy(),
        cosine=float(means[0]),
        loss=float(means[1]),
        image=means[2:].float(),
        text=text,
        given=given,
    )


def relevant(split: Split) -> Tensor:
    """Returns which captions are right for which pictures: bool [pictures, captions].

    Those of a picture, and captions of others that are the same text.

    >>> split = Split.of_captions(np.zeros((2, 1, 1, 3), np.uint8), [["a", "b"], ["b"]])
    >>> relevant(split).int().tolist()
    [[1, 1, 1], [0, 1, 1]]
    """
    texts = [text for own in split.texts or () for text in own]
    numbers: dict[Any, int] = {}
    of_text = torch.tensor([numbers.setdefault(text, len(numbers)) for text in texts])
    said = torch.zeros(len(split.pictures), len(numbers), dtype=torch.bool)
    said[torch.from_numpy(split.shown), of_text] = True
    return said[:, of_text]


def found_among(fit: Tensor, right: Tensor, k: int) -> Tensor:
    """Returns the chance that a right candidate is among the k best of a query: float64 [Q].

    That is 0 or 1, but where candidates fit equally well: then any order of those is as likely. Of
    T candidates that tie with the best right one, R of them right, with m places left for them, it
    is 1 - C(T - R, m) / C(T, m), so that a table of equal values is as good as chance.

    Args:
        fit: float [Q, N], higher is better.
        right: bool [Q, N], at least one per query.
        k: 1 or more.

    Returns:
        NaN for a query with a fit that is NaN.

    >>> fit = torch.tensor([[0.5, 0.5, 0.1], [0.2, 0.9, 0.2]])
    >>> found_among(fit, torch.eye(3)[:2].bool(), k=1).tolist()
    [0.5, 1.0]
    """
    best = fit.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    places = k - (fit > best).sum(1)
    ties = fit == best
    tied, wrong = ties.sum(1).double(), (ties & ~right).sum(1).double()
    missed = torch.ones_like(tied)
    for place in range(k):  # each takes one of the candidates that are left
        misses = ((wrong - place) / (tied - place).clamp(min=1)).clamp(min=0)
        missed = torch.where(places > place, missed * misses, missed)
    return (1 - missed).masked_fill(fit.isnan().any(1), torch.nan)


def recall(fit: Tensor, right: Tensor, k: int) -> float:
    """Returns recall at k, the mean over queries of `found_among`."""
    return float(found_among(fit, right, k).mean())
