"""Trains a dual encoder to tell which caption belongs to which image: what all recipes share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from methods.backbones.base import Backbone

WARMUP = 50
"""Steps of linear warm-up."""

Progress = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the loss."""


def train(
    backbone: Backbone,
    loss_of: Callable[[int], Tensor],
    optimizers: Sequence[Optimizer],
    steps: int,
    progress: Progress | None,
) -> None:
    """Takes `steps` steps on the losses that `loss_of` gives for the number of each.

    The learning rate rises linearly, then falls linearly to zero.
    """
    schedules = [LambdaLR(optimizer, _schedule(steps)) for optimizer in optimizers]
    backbone.train()
    for step in range(steps):
        loss = loss_of(step)
        torch.autograd.backward(loss)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        if progress:
            progress(step + 1, steps, loss.item())
    backbone.eval()


def contrastive_loss(similarity: Tensor, captions: Sequence[str]) -> Tensor:
    """Returns the symmetric contrastive loss; images with equal captions match one another.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML
    2021, arXiv 2103.00020), figure 3; where n captions are equal, each is the target with 1 / n.

    Args:
        similarity: Logits of image i with caption j, float [B, B].
        captions: The B captions.
    """
    index = {caption: i for i, caption in enumerate(captions)}
    ids = torch.tensor([index[caption] for caption in captions])
    same = (ids[:, None] == ids).to(similarity)
    targets = same / same.sum(1)
    return (cross_entropy(similarity, targets) + cross_entropy(similarity.T, targets)) / 2


def _schedule(steps: int) -> Callable[[int], float]:
    """Returns the factor of the learning rate: linear warm-up, then linear decay to zero."""
    return lambda step: min((step + 1) / WARMUP, (steps - step) / steps)
