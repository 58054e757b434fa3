"""How important every weight is for a task, measured on samples of its training data.

A fixed number of samples is drawn without replacement and divided into groups of a fixed size, each
of which has one gradient. Neither depends on the batch size or the number of workers: these take
the groups in turn, and what they find is summed.

The model that is measured is the one that is trained: with the prompts of training, but without the
randomness of dropout. Precision is that of the weights.
"""

from collections.abc import Callable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.backbones.base import Backbone
from methods.data import Batch, Stage
from methods.regularisation.penalty import PenaltyConfig
from methods.tools.parallel import sum_over_workers
from methods.tools.tensor_lists import add_products_to, divide_by

_GROUP = 32

Objective = Callable[[Batch, Tensor], Tensor]
"""What is differentiated: of a group's samples and a random number in [0, 1) (float64) for each."""


def summed_over_groups(
    backbone: Backbone,
    weights: list[Tensor],
    stage: Stage,
    samples: int,
    group: int,
    objective: Objective,
    add: Callable[[list[Tensor], list[Tensor]], object],
) -> tuple[list[Tensor], int]:
    """Returns the sum something over the gradients of all groups of samples of the stage's task.

    Args:
        backbone: The model that the objective is computed with.
        weights: What the gradients are with respect to.
        stage: Where samples come from.
        samples: How many; all of the task's if it has no more.
        group: Samples of one gradient; the last group may be smaller.
        objective: What is differentiated, summed over the samples of a group.
        add: Adds what is wanted of one group's gradients to the sums, in place.

    Returns:
        The sums, one tensor per weight and equal on all workers, and the number of samples.
    """
    data, generator = stage.tasks[stage.task], stage.generator("importance")
    ids = torch.randperm(len(data), generator=generator)[:samples]
    chances = torch.rand(len(ids), dtype=torch.float64, generator=generator)
    groups = list(zip(torch.split(ids, group), torch.split(chances, group), strict=True))
    sums = [torch.zeros_like(weight) for weight in weights]
    with backbone.without_dropout():
        for some, chance in groups[stage.rank :: stage.world_size]:
            value = objective(data.batch(some), chance)
            add(sums, list(torch.autograd.grad(value, weights, materialize_grads=True)))
    sum_over_workers(sums)
    return sums, len(ids)


class FisherConfig(PenaltyConfig):
    """Options of all methods that need the Fisher information."""

    fisher_samples: int = Field(
        default=1024, ge=1, description="Samples it is measured on, at most those of the task."
    )
    fisher_batch: int | None = Field(
        default=None,
        ge=1,
        description=f"Samples of one gradient; null: {_GROUP}, with true labels 1. More is faster "
        "and noisier, but not biased. Memory grows with it, and with the number of choices.",
    )
    fisher_labels: Literal["sampled", "true"] = Field(
        default="sampled",
        description="Labels are drawn from the model's own belief, or are those of the data.",
    )

    @model_validator(mode="after")
    def _true_labels_go_one_by_one(self) -> Self:
        if self.fisher_labels == "true" and (self.fisher_batch or 1) > 1:
            raise ValueError(
                f"fisher_batch {self.fisher_batch} needs fisher_labels 'sampled': with true labels "
                "every sample needs a gradient of its own (fisher_batch 1)."
            )
        return self


def fisher(
    backbone: Backbone, weights: list[Tensor], stage: Stage, config: FisherConfig
) -> list[Tensor]:
    """Returns the diagonal of the Fisher information of the stage's task, one tensor per weight.

        F_i = E_x E_{y ~ p(y|x)} (d log p(y|x) / d theta_i)^2,   p(.|x) = softmax of the logits

    per sample, not per batch. With labels drawn from p, gradients of different samples are
    independent with mean zero, so that the square of their sum is, in the mean over draws, the sum
    of their squares: groups of any size give an unbiased estimate with one gradient each. With the
    data's own labels ("empirical Fisher") that does not hold, and groups have one sample.
    """
    true = config.fisher_labels == "true"

    def surprise(batch: Batch, chances: Tensor) -> Tensor:
        logits = backbone.logits(batch)
        labels = batch.labels if true else draw_labels(logits, chances)
        return cross_entropy(logits, labels, reduction="sum")

    sums, count = summed_over_groups(
        backbone,
        weights,
        stage,
        config.fisher_samples,
        config.fisher_batch or (1 if true else _GROUP),
        surprise,
        lambda sums, gradients: add_products_to(sums, gradients, gradients),
    )
    divide_by(sums, count)
    return sums


@torch.no_grad()
def draw_labels(logits: Tensor, chances: Tensor) -> Tensor:
    """Returns a label per row of logits [B, C], drawn by inversion of uniform numbers [B].

    Every sample brings its own number, so that its label does not depend on its group.
    """
    below = logits.cpu().double().softmax(dim=1).cumsum(dim=1)
    labels = torch.searchsorted(below, chances.unsqueeze(1), right=True).squeeze(1)
    return labels.clamp(max=logits.shape[1] - 1).to(logits.device)
