"""Which weights an optimiser moves, and at which rates."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.optim import AdamW

from methods.backbones.base import Tower
from methods.base import Method
from sweep.study.training import Training


def adamw(method: Method, towers: Mapping[Tower, float], weight_decay: float) -> AdamW:
    """Returns AdamW for the weights that a method trains, those with one factor in a group.

    Args:
        method: Its own weights outside of the backbone, such as prompts and heads, have factor 1.
        towers: Factors of the learning rate, for parts of the backbone that do not have 1.
        weight_decay: That of AdamW.

    Returns:
        The optimiser, whose learning rates are the factors; LambdaLR multiplies them by `rate`.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weight in method.named_parameters():
        if weight.requires_grad:
            inside = name.removeprefix("backbone.")
            factor = 1.0 if inside == name else towers.get(method.backbone.tower(inside), 1.0)
            groups.setdefault(factor, []).append(weight)
    alike = [{"params": weights, "lr": factor} for factor, weights in groups.items()]
    return AdamW(alike, weight_decay=weight_decay, fused=True)


def rate(
    training: Training,
    method_lr: float | None,
    step: int,
    stream: Sequence[tuple[str, Tensor]],
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
    warmup = min(training.warmup_steps, total)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
