"""Measures what a model knows not to know: images of other tasks, told apart by their MCM score.

Ming et al., "Delving into Out-of-Distribution Detection with Vision-Language Representations"
(NeurIPS 2022, arXiv 2211.13445). With classes that are in distribution, an image scores by the
largest probability that one of them gets,

    MCM(x) = max_c exp(cos(x, c) / tau) / sum_c' exp(cos(x, c') / tau),  tau = 1,

where c is the mean embedding of a class over its prompts. The cosines are plain: the temperature
that the backbone has learnt (CLIP's is about 0.01) is not in it, as in the paper and its code.
AUROC is the probability that an image that is in distribution scores higher than one that is not,
ties one half: 1 = always told apart, 0.5 = by chance.

    AUROC(i, j)   classes and test images of task i against test images of task j
    cumulative    classes and test images of all tasks learnt so far, together, against those of
                  all tasks that are not learnt yet, and against those of each held-out suite

Sekeh & Wisell (2026, arXiv 2606.14883) relate the former to contributions between tasks, and the
latter to the order of the tasks.

The embeddings are those that the tasks were scored with, so nothing is embedded for it, and how a
method answers (by a head of its own, say) does not matter. Nothing is said where nothing is
defined: of one class all images score alike; without anything learnt, or with everything learnt, a
side of the cumulative comparison is empty; and methods that choose weights by the task of an image
have no model that sees the images of two tasks.

Two tasks may have classes of the same name. Then some images of the one may show what the other
knows, and are not out of distribution; how many may do is recorded beside the AUROC.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import permutations
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import ALL_TASKS, Scores, score
from sweep.stage.samples import TestSamples
from sweep.stage.task_scores import TaskEmbeddings

PAIRS, CUMULATIVE, SHARED = "ood", "ood_cumulative", "ood_shared"
"""Splits of the rows."""
TEMPERATURE = 1.0
"""The tau of the paper."""
DECIMALS = 6
"""Of logarithms of scores: single precision has no more, and equal images are to be ties."""


class OODDetection(Diagnostic):
    """Measures the AUROC of telling tasks apart by their MCM scores, in pairs and cumulatively."""

    needs_embeddings: ClassVar[bool] = True

    def __init__(self, samples: TestSamples) -> None:
        """Takes the number of images to score at once."""
        super().__init__(samples)
        self.batch_size = samples.trainer.study.evaluation.batch_size

    def of_embeddings(self, found: Mapping[str, TaskEmbeddings], learnt: Sequence[str]) -> Scores:
        """Returns the AUROC of pairs of tasks, and of what is learnt against what is not."""
        compared = [
            one
            for one in self._comparisons(found, learnt)
            if one.outside and sum(len(found[name].classes) for name in one.inside) > 1
        ]
        if not compared:
            return []
        known = self._scores(found, list(dict.fromkeys(one.inside for one in compared)))
        rows = []
        for one in compared:
            inside, outside = (
                np.concatenate([known[name, one.inside] for name in names])
                for names in (one.inside, one.outside)
            )
            count = len(inside) + len(outside)
            rows.append(score(*one[:3], auroc(inside, outside), count))
        return [*rows, *self._shared(found)]

    def _comparisons(
        self, found: Mapping[str, TaskEmbeddings], learnt: Sequence[str]
    ) -> Iterator["_Comparison"]:
        tasks = [name for name in found if name in self.tasks]
        for one, other in permutations(tasks, 2):
            yield _Comparison(PAIRS, one, other, (one,), (other,))
        if self.method.depends_on == "task" and not self.method.combines_over:
            return  # it keeps the last task alone, so that `learnt` is not what a run has learnt
        seen = tuple(name for name in tasks if name in learnt)
        rest = tuple(name for name in tasks if name not in seen)
        yield _Comparison(CUMULATIVE, ALL_TASKS, "unlearnt", seen, rest)
        for name in found:
            if name not in self.tasks:
                yield _Comparison(CUMULATIVE, name, "probe", seen, (name,))

    def _scores(
        self, found: Mapping[str, TaskEmbeddings], known: Sequence[tuple[str, ...]]
    ) -> dict[tuple[str, tuple[str, ...]], np.ndarray]:
        """Returns the log of MCM of all images [N], by their task and what is in distribution."""
        sizes = [len(those.classes) for those in found.values()]
        classes = torch.cat([those.classes for those in found.values()]).double()
        mine = []
        for name, those in found.items():
            parts = []
            for images in torch.split(those.images, self.batch_size):
                cosines = torch.split(images.double() @ classes.T, sizes, dim=1)
                of = dict(zip(found, cosines, strict=True))
                columns = [log_mcm(torch.cat([of[t] for t in inside], dim=1)) for inside in known]
                parts.append(torch.stack(columns).cpu())
            mine.append((name, those.ids, torch.cat(parts, dim=1)))
        shares: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in found}
        for name, ids, values in gather_object(mine):
            shares[name].append((ids, values))
        scores: dict[tuple[str, tuple[str, ...]], np.ndarray] = {}
        for name, gathered in shares.items():
            order = torch.cat([ids for ids, _ in gathered]).argsort()
            values = torch.cat([part for _, part in gathered], dim=1)[:, order].numpy()
            scores |= {(name, inside): row for inside, row in zip(known, values, strict=True)}
        return scores

    def _shared(self, names: Container[str]) -> Scores:
        """Returns the share of images whose class another task has, too, where it is not 0."""
        benchmark = self.samples.trainer.benchmark
        everything = [*benchmark.tasks.values(), *benchmark.probes.values()]
        tasks = [task for task in everything if task.name in names]
        rows = []
        for one, other in permutations(tasks, 2):
            same = np.array([choice in one.choices for choice in other.choices])
            if one.name in self.tasks and same.any():
                share = float(same[other.test.labels].mean())
                rows.append(score(SHARED, one.name, other.name, share, len(other.test)))
        return rows


class _Comparison(NamedTuple):
    """Names a row of the results, and says what is in and what is out of distribution for it."""

    split: str
    eval_task: str
    metric: str
    inside: tuple[str, ...]
    outside: tuple[str, ...]


def log_mcm(cosines: Tensor) -> Tensor:
    """Returns the logarithm of the MCM score of images: [N, classes] -> [N].

    It orders images as the score does.

    >>> log_mcm(torch.tensor([[0.3, 0.1, 0.1]], dtype=torch.float64)).exp().round(decimals=4)
    tensor([0.3792], dtype=torch.float64)
    """
    largest: Tensor = (cosines / TEMPERATURE).log_softmax(dim=1).amax(dim=1)
    return largest.round(decimals=DECIMALS)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Returns the probability that one of `inside` is larger than one of `outside`, ties one half.

    NaN if any of them is.

    >>> auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    if np.isnan(inside).any() or np.isnan(outside).any():
        return math.nan
    ordered = np.sort(outside)
    smaller, up_to = (np.searchsorted(ordered, inside, side) for side in ("left", "right"))
    return float((smaller + up_to).mean() / (2 * len(outside)))
