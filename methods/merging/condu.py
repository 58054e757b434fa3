"""ConDU: one model for all experts, from which each is decoupled when it is needed.

Gao et al., "Enhanced Continual Learning of Vision-Language Models with Model Fusion" (ICLR 2026,
arXiv 2503.10705). Deltas d_i = theta_i - theta_0 are unified, per entry, into

    s = sign(mean_i d_i),     tau = s max{ |d_i| : d_i has the sign s },
    M_i = 1[ d_i s > 0 ],     l_i = sum_w mean |d_i| / sum_w mean |M_i tau|

(means over the entries of each weight w, summed over all weights), and d_i is decoupled again as
l_i M_i tau. After every task the earlier deltas are decoupled and unified anew together with the
new one, which depends, a little, on the order. `condu_once` unifies all deltas at once.

With `task: known`, the default and the setting of the paper's MTIL table, a learnt task is answered
by its decoupled expert. All data of no known task, which with `task: inferred` (the paper's
task-agnostic setting) are all data, are compared with the prototypes of all classes learnt, each
sample by itself: the normalised sum of the normalised mean embedding of the class's training images
and of its text, both of the untouched backbone. The `experts` tasks with the most similar prototype
answer together with the untouched backbone: their logits are averaged, one vote each. Without
classes there are no prototypes: it learns only tasks that have some.

Left open there and decided here:
- sign(0) is minus, as in the authors' code; so are the two sums of means in l_i.
- Retrieval and embeddings of data of no known task are those of the untouched backbone: there are
  no choices to average over. Answers to such data are always scored, never generated.
- Such data take a pass over all samples of a task per expert that any of them asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from methods.backbones.base import highest
from methods.base import MethodConfig, State
from methods.baselines.finetune import FineTuneConfig
from methods.data import Batch, Stage
from methods.merging.beginnings import Beginnings
from methods.merging.masked import Masked, Unified, packed
from methods.merging.task_vectors import TaskVectors, Vector
from methods.tools.image_features import image_features


class ConDUConfig(FineTuneConfig):
    """Options of `condu` and `condu_once`."""

    experts: int = Field(
        default=4, ge=0, description="Experts that answer data of no known task; 0: zero-shot."
    )
    task: Literal["known", "inferred"] = Field(
        default="known",
        description="Whether data of a learnt task get its expert, or all samples those with "
        "similar prototypes.",
    )


class ConDU(Masked):
    """Unify experts task by task; decouple that of a known task, or those of similar classes."""

    Config = ConDUConfig
    config: ConDUConfig
    needs_classes: ClassVar[bool] = True
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    resumable: ClassVar[bool] = True

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns whether the task chooses the expert."""
        return isinstance(config, ConDUConfig) and config.task == "known"

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
            lambda one: unify(one.tasks, one.items()),
            lambda unified, one: unify((*unified.tasks, *one.tasks), _with_one_more(unified, one)),
        )

    def select(self, task: str | None) -> None:
        """Put the known task's expert in place, or get ready to ask several."""
        known = task if self.config.task == "known" else None
        super().select(known)
        self.known = known in self.unified.tasks

    def predict(self, batch: Batch) -> Tensor:
        """Returns the choice of the task's expert, or of backbone and similar experts."""
        ((_, given),) = self.predictions([batch])
        return given

    @torch.no_grad()
    def predictions(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
        """Yields these choices batch by batch, having put every expert in place once."""
        if self.known or not self.unified.tasks:
            yield from ((batch, super(ConDU, self).predict(batch)) for batch in batches)
            return
        votes, asked = [], []
        for batch in batches:
            votes.append(self.backbone.logits(batch))
            asked.append(self.nearest(self.backbone.embed_images(batch.pixels)))
        for number, expert in enumerate(self.unified.tasks):
            rows = [who[:, number] for who in asked]
            if not any(some.any() for some in rows):
                continue
            self.become(self.unified.expert(expert))
            # What was embedded with other weights must not be found again.
            with self.backbone.frozen_texts([batch.task]):
                for batch, some, vote in zip(batches, rows, votes, strict=True):
                    if some.any():
                        vote[some] += self.backbone.logits(batch.rows(some.nonzero().squeeze(1)))
        self.become({})
        for batch, vote in zip(batches, votes, strict=True):
            yield batch, highest(vote, batch.ids)

    def routing(self, batch: Batch) -> dict[str, Tensor]:
        """Returns one vote of each expert that is asked, and of the untouched backbone."""
        if self.config.task == "known" or not self.unified.tasks:
            return {}
        asked = self.nearest(self.backbone.embed_images(batch.pixels)).float()
        votes = asked / (1 + asked.sum(dim=1, keepdim=True))
        return dict(zip(self.unified.tasks, votes.T, strict=True))

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
        mask, tau = along > 0, sign * along.amax(dim=0).clamp(min=0)
        sizes += _mean_sizes(rows)
        sizes_left += _mean_sizes(mask * tau)
        masks[weight], vector[weight] = packed(mask), tau.cpu()
    factors = torch.where(sizes_left > 0, sizes / sizes_left, 1.0)
    return Unified(tasks, vector, masks, factors.float())


def _mean_sizes(rows: Tensor) -> Tensor:
    return rows.abs().flatten(1).mean(dim=1).cpu().double()


def _with_one_more(unified: Unified, new: TaskVectors) -> Iterable[tuple[str, Tensor]]:
    """Yield, by weight, the decoupled deltas and a new one."""
    for weight in unified.vector:
        yield weight, torch.cat([unified.rows(weight).to(new.device), new[weight]])
