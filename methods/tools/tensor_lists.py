"""Arithmetic on lists of tensors, one tensor per weight of a model.

A loop over weights launches one kernel per weight. torch's optimisers avoid that with functions
that take whole lists, but these have no public name (`torch._foreach_*`; checked with torch
2.13). This is the only file of `methods` that calls them; tests/methods/test_tensor_lists.py
compares each with the loop it stands for.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Tensors = list[Tensor]


def difference(one: Tensors, other: Tensors) -> Tensors:
    """Returns one - other, weight by weight."""
    return list(torch._foreach_sub(one, other))


def product(one: Tensors, other: Tensors) -> Tensors:
    """Returns one * other, entry by entry."""
    return list(torch._foreach_mul(one, other))


def magnitudes(tensors: Tensors) -> Tensors:
    """Returns |x| of every entry."""
    return list(torch._foreach_abs(tensors))


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """Returns the Euclidean length of each tensor: [number of tensors]."""
    return torch.stack(torch._foreach_norm(list(tensors)))


def add_to(sums: Tensors, tensors: Tensors, scale: float = 1) -> None:
    """Add `scale` times the tensors to the sums, in place."""
    torch._foreach_add_(sums, tensors, alpha=scale)


def add_products_to(sums: Tensors, one: Tensors, other: Tensors, scale: float = 1) -> None:
    """Add `scale` times one * other to the sums, in place."""
    torch._foreach_addcmul_(sums, one, other, value=scale)


def multiply_by(tensors: Tensors, factors: Tensors | Tensor) -> None:
    """Multiply each tensor by its own factor, or all by one number, in place."""
    torch._foreach_mul_(tensors, factors)


def divide_by(tensors: Tensors, number: float | Tensor) -> None:
    """Divide all tensors by one number, in place."""
    torch._foreach_div_(tensors, number)


def move_towards(tensors: Tensors, goals: Tensors, share: float) -> None:
    """Go a share of the way from each tensor to its goal, in place."""
    torch._foreach_lerp_(tensors, goals, share)
