"""Which weights an optimiser moves, and at which rates."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from methods.backbones.base import Tower
from methods.base import Method
from sweep.study.training import Training

Stream = Sequence[tuple[str, Tensor]]
"""For each step, the task and the ids of its samples, int64 [batch]."""


def adamw(method: Method, towers: Mapping[Tower, float], weight_decay: float) -> AdamW:
    """Returns AdamW for the weights that a method trains, those that it treats alike in a group.

    Args:
        method: Its own weights outside of the backbone, such as prompts and heads, have factor 1,
            and do not decay.
        towers: Factors of the learning rate, for parts of the backbone that do not have 1.
        weight_decay: That of the backbone's matrices, adapters among them. Norms, biases and
            other vectors do not decay, as in the training of CLIP (arXiv 2103.00020, section 2.5).

    Returns:
        The optimiser, whose learning rates are the factors; `scheduled` multiplies them.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in method.named_parameters():
        if weight.requires_grad:
            inside = name.removeprefix("backbone.")
            is_own = inside == name
            factor = 1.0 if is_own else towers.get(method.backbone.tower(inside), 1.0)
            decay = 0.0 if is_own or weight.dim() < 2 else weight_decay
            groups.setdefault((factor, decay), []).append(weight)
    alike = [
        {"params": weights, "lr": factor, "weight_decay": decay}
        for (factor, decay), weights in groups.items()
    ]
    return AdamW(alike, fused=True)


def scheduled(
    optimizer: AdamW,
    training: Training,
    method_lr: float | None,
    stream: Stream,
    done: int = 0,
) -> LambdaLR:
    """Returns what gives an optimiser the `rate` of each step, of which some are done.

    Args:
        optimizer: That of `adamw`.
        training: The study's settings.
        method_lr: That of the method, if it has its own.
        stream: The batches of the stage.
        done: How many steps a checkpoint has.
    """
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return LambdaLR(optimizer, lambda step: rate(training, method_lr, step, stream), done - 1)


def rate(
    training: Training,
    method_lr: float | None,
    step: int,
    stream: Stream,
) -> float:
    """Returns the learning rate of a step: linear warm-up to the task's peak, then cosine to zero.

    Args:
        training: The study's settings.
        method_lr: That of the method, if it has its own.
        step: From 0; that of `len(stream)` is looked up once, after the last one.
        stream: The batches of the stage, each a task and the ids of its samples.
    """
    total = len(stream)
    peak = training.lr_of(stream[min(step, total - 1)][0], method_lr)
    warmup = training.warmup_of(total)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
