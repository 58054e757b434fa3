"""How important every weight is for a task, measured on samples of its training data.

A fixed number of samples is drawn without replacement and divided into groups of a fixed size, by
default of one sample; a group has one gradient. Neither depends on the batch size or the number of
workers: these take the groups in turn, and what they find is summed.

The model that is measured is the one that is trained: with the prompts of training, but without the
randomness of dropout. Precision is that of the weights.

What is learnt by contrast, such as captions by a dual encoder, is a choice among the samples of a
group.

How good an estimate of the Fisher information is: length of the error over that of the information
on all 2048 samples, tiny-clip after one task of the made world, mean of two draws.

    samples       64            256           1024
    groups of     1     32      1     32      1     8     32
    error         1.5   2.6     0.5   1.0     0.2   0.3   0.3

A few samples hold most of it, so that more of them help more than smaller groups do; who finds 1024
passes too many does better with groups of 8 than with fewer samples.

What it costs, by `ewc` in `benchmarks/method_costs.py`: on 1024 samples as much as 14 trainings of
24 steps of 32 images in groups of 1, 2.6 in groups of 8, 1.4 in groups of 32; with fewer samples in
proportion.
"""

from collections.abc import Callable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.backbones.base import Backbone
from methods.data import Batch, Stage
from methods.parallel import sum_over_workers
from methods.regularisation.penalty import PenaltyConfig
from methods.tools.tensor_lists import add_products_to, divide_by

_COMPARED = 32
"""Samples among which a choice is made where what is learnt is learnt by contrast."""
_DRAWN_AT_ONCE = 2**24
"""Bounds memory: entries of logits that labels are drawn from at once."""

Objective = Callable[[Batch, Tensor], Tensor]
"""What is differentiated: of a group's samples and a random number in [0, 1) (float64) for each;
several numbers are differentiated one after the other."""


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
        objective: What is differentiated.
        add: Adds what is wanted of one gradient to the sums, in place.

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
            values = objective(data.batch(some), chance).reshape(-1)
            for left, value in zip(reversed(range(len(values))), values, strict=True):
                gradients = torch.autograd.grad(
                    value, weights, retain_graph=left > 0, materialize_grads=True
                )
                add(sums, list(gradients))
    sum_over_workers(sums)
    return sums, len(ids)


class FisherConfig(PenaltyConfig):
    """Options of all methods that need the Fisher information."""

    fisher_samples: int = Field(
        default=1024, ge=1, description="Samples it is measured on, at most those of the task."
    )
    fisher_batch: int = Field(
        default=1,
        ge=1,
        description="Samples of one gradient. More is faster and much noisier, but not biased. "
        "Memory grows with it, and with the number of choices. "
        f"What is learnt by contrast is compared in groups of {_COMPARED} or more.",
    )
    fisher_labels: Literal["sampled", "true"] = Field(
        default="sampled",
        description="Labels are drawn from the model's own belief, or are those of the data.",
    )

    @model_validator(mode="after")
    def _true_labels_go_one_by_one(self) -> Self:
        if self.fisher_labels == "true" and self.fisher_batch > 1:
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
    of their squares: groups of any size give an unbiased estimate with one gradient each, which is
    an estimate of as few squares as there are groups. With the data's own labels ("empirical
    Fisher") that does not hold, and every sample has its gradient.

    Of captions that a dual encoder learns, y is the caption of an image among those of its group.
    Of what is written, p(y|x) is that of all tokens, each after those of the data before it, and
    F_i is divided by the number of tokens, as is the loss.
    """
    true, alone = config.fisher_labels == "true", config.fisher_batch == 1
    group = config.fisher_batch
    if backbone.contrasts(stage.tasks[stage.task].task):
        group = max(group, _COMPARED)  # alone, a caption would be no surprise

    def surprise(batch: Batch, chances: Tensor) -> Tensor:
        logits, rows = backbone.logits(batch), backbone.rows_of_samples(batch)
        drawn = chances_of_rows(chances, rows)
        labels = backbone.targets(batch) if true else draw_labels(logits, drawn)
        losses = cross_entropy(logits, labels, reduction="none")
        losses = losses * rows.rsqrt().repeat_interleave(rows).to(losses)
        if not alone:
            return losses.sum()
        return torch.stack([part.sum() for part in torch.split(losses, rows.tolist())])

    sums, count = summed_over_groups(
        backbone,
        weights,
        stage,
        config.fisher_samples,
        group,
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
    at_once = max(1, _DRAWN_AT_ONCE // logits.shape[1])
    labels = []
    for some, chance in zip(
        torch.split(logits, at_once), torch.split(chances, at_once), strict=True
    ):
        below = some.cpu().double().softmax(dim=1).cumsum(dim=1)
        labels.append(torch.searchsorted(below, chance.unsqueeze(1), right=True).squeeze(1))
    return torch.cat(labels).clamp(max=logits.shape[1] - 1).to(logits.device)


def chances_of_rows(chances: Tensor, rows: Tensor) -> Tensor:
    """Returns a number for every row of logits: [sum of rows].

    Those of a sample depend on its own number alone, and so not on its group: where there is one
    row it is that number, else numbers drawn from it.
    """
    drawn = [
        chance.reshape(1)
        if count == 1
        else torch.rand(
            count,
            dtype=chance.dtype,
            generator=torch.Generator().manual_seed(int(chance * 2**53)),
        )
        for chance, count in zip(chances, rows.tolist(), strict=True)
    ]
    return torch.cat(drawn)
