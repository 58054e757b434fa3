"""ConDU: one model for all experts, from which each is decoupled when it is needed.

Gao et al., "Enhanced Continual Learning of Vision-Language Models with Model Fusion" (ICLR 2026,
arXiv 2503.10705). Deltas d_i = theta_i - theta_0 are unified, per entry, into

    s = sign(mean_i d_i),     tau = s max{ |d_i| : d_i has the sign s },
    M_i = 1[ d_i s > 0 ],     l_i = sum_w mean |d_i| / sum_w mean |M_i tau|

(means over the entries of each weight w, summed over all weights), and d_i is decoupled again as
l_i M_i tau. After every task the earlier deltas are decoupled and unified anew together with the
new one, which depends, a little, on the order. `condu_once` unifies all deltas at once.

A learnt task is answered by its decoupled expert. For other data, of tasks not learnt yet or of no
task, each sample is compared with the prototypes of all classes learnt: the normalised sum of the
normalised mean embedding of the class's training images and of its text, both of the untouched
backbone. The `experts` tasks with the most similar prototype answer together with the untouched
backbone: their logits are averaged, one vote each. Without classes there are no prototypes: it
learns only tasks that have some.

Left open there and decided here:
- sign(0) is minus, as in the authors' code; so are the two sums of means in l_i.
- Retrieval and embeddings of other data are those of the untouched backbone: there are no choices
  to average over. Answers to other data are always scored, never generated.
- Other data take a pass per expert, with its texts embedded anew for every batch: large batches in
  `evaluation` pay.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from methods.base import State
from methods.baselines.finetune import FineTuneConfig
from methods.data import Batch, Stage
from methods.merging.beginnings import Beginnings
from methods.merging.masked import Masked, Unified
from methods.merging.task_vectors import TaskVectors, Vector
from methods.tools.image_features import image_features


class ConDUConfig(FineTuneConfig):
    """Options of `condu` and `condu_once`."""

    experts: int = Field(
        default=4, ge=0, description="Experts that answer data of no learnt task; 0: zero-shot."
    )


class ConDU(Masked):
    """Unify experts task by task; decouple that of a known task, or those of similar classes."""

    Config = ConDUConfig
    config: ConDUConfig
    needs_classes: ClassVar[bool] = True
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Start without prototypes."""
        super().build()
        self.prototypes: dict[str, Tensor] = {}
        self.known = False
        self.beginnings = Beginnings[Unified](lambda unified: unified.nbytes)

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Unify the experts and, with the untouched backbone, make the prototypes of new tasks."""
        super().combine(experts, stage)
        for task in experts:
            if task not in self.prototypes:
                self.prototypes[task] = self.class_prototypes(replace(stage, prefix=(task,)))

    def unify(self, vectors: TaskVectors) -> Unified:
        """Decouple and unify anew with every task."""
        return self.beginnings.merge(
            vectors,
            lambda one: unify(one.tasks, one.items()).to("cpu"),
            lambda unified, one: unify(
                (*unified.tasks, *one.tasks), _with_one_more(unified.to(one.device), one)
            ).to("cpu"),
        ).to(vectors.device)

    def select(self, task: str | None) -> None:
        """Put the task's expert in place, or get ready to ask several."""
        super().select(task)
        self.known = task in self.unified.tasks

    @torch.no_grad()
    def predict(self, batch: Batch) -> Tensor:
        """Returns the choice of the task's expert, or of backbone and similar experts."""
        if self.known or not self.unified.tasks:
            return super().predict(batch)
        votes = self.backbone.logits(batch)
        asked = self.nearest(self.backbone.embed_images(batch.pixels))
        for task, rows in zip(self.unified.tasks, asked.T, strict=True):
            if rows.any():
                some = batch.rows(rows.nonzero().squeeze(1))
                self.become(self.unified.expert(task))
                # What was embedded with other weights must not be found again.
                with self.backbone.frozen_texts([batch.task]):
                    votes[rows] += self.backbone.logits(some)
        self.become({})
        return votes.argmax(dim=1)

    def nearest(self, images: Tensor) -> Tensor:
        """Returns which experts to ask about image embeddings [B, D]: bool [B, T]."""
        fits = torch.stack(
            [(images @ self.prototypes[t].T).amax(dim=1) for t in self.unified.tasks], dim=1
        )
        best = fits.topk(min(self.config.experts, fits.shape[1]), dim=1).indices
        return torch.zeros_like(fits, dtype=torch.bool).scatter(1, best, True)

    @torch.no_grad()
    def class_prototypes(self, stage: Stage) -> Tensor:
        """Returns one L2-normalised prototype per choice of the stage's task: float32 [C, D]."""
        task = stage.tasks[stage.task].task
        features = image_features(self.backbone, stage)
        labels = torch.from_numpy(task.train.labels).to(features.device)
        sums = features.new_zeros(len(task.choices), features.shape[1])
        images = normalize(sums.index_add(0, labels, features), dim=1)
        return normalize(images + self.backbone.embed_choices(task), dim=1)


def unify(tasks: tuple[str, ...], deltas: Iterable[tuple[str, Tensor]]) -> Unified:
    """Returns one vector for the deltas [T, *shape] of every weight, with masks and factors."""
    vector: Vector = {}
    masks: Vector = {}
    sizes, sizes_left = torch.zeros(2, len(tasks), dtype=torch.float64)
    for weight, rows in deltas:
        sign = torch.where(rows.mean(dim=0) > 0, 1.0, -1.0)
        along = rows * sign
        masks[weight] = along > 0
        vector[weight] = sign * along.amax(dim=0).clamp(min=0)
        sizes += _mean_sizes(rows)
        sizes_left += _mean_sizes(masks[weight] * vector[weight])
    factors = torch.where(sizes_left > 0, sizes / sizes_left, 1.0)
    return Unified(tasks, vector, masks, factors.float())


def _mean_sizes(rows: Tensor) -> Tensor:
    return rows.abs().flatten(1).mean(dim=1).cpu().double()


def _with_one_more(unified: Unified, new: TaskVectors) -> Iterable[tuple[str, Tensor]]:
    """Yield, by weight, the decoupled deltas and a new one."""
    for weight, tau in unified.vector.items():
        factors = unified.factors.to(tau.device).view(-1, *[1] * tau.dim())
        yield weight, torch.cat([factors * unified.masks[weight] * tau, new[weight]])
