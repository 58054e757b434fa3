"""Arithmetic on lists of tensors is what a loop over them would compute."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from methods.tools import tensor_lists

SHAPES = ((3,), (2, 4), ())


def drawn(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize(
    ("function", "entry"),
    [
        (tensor_lists.difference, lambda one, other: one - other),
        (tensor_lists.product, lambda one, other: one * other),
    ],
)
def test_of_two_lists(
    function: Callable[[list[Tensor], list[Tensor]], list[Tensor]],
    entry: Callable[[Tensor, Tensor], Tensor],
) -> None:
    one, other = drawn(1), drawn(2)
    expected = [entry(x, y) for x, y in zip(one, other, strict=True)]
    torch.testing.assert_close(function(one, other), expected, rtol=0, atol=0)
    torch.testing.assert_close(one, drawn(1), rtol=0, atol=0)


def test_of_one_list() -> None:
    tensors = drawn(1)
    torch.testing.assert_close(tensor_lists.magnitudes(tensors), [x.abs() for x in tensors])
    lengths = torch.stack([x.square().sum().sqrt() for x in tensors])
    torch.testing.assert_close(tensor_lists.norms(tensors), lengths)


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (lambda a, b, c: tensor_lists.add_to(a, b), lambda a, b, c: a + b),
        (lambda a, b, c: tensor_lists.add_to(a, b, 0.3), lambda a, b, c: a + 0.3 * b),
        (lambda a, b, c: tensor_lists.add_products_to(a, b, c), lambda a, b, c: a + b * c),
        (lambda a, b, c: tensor_lists.add_products_to(a, b, c, -1), lambda a, b, c: a - b * c),
        (lambda a, b, c: tensor_lists.multiply_by(a, b), lambda a, b, c: a * b),
        (lambda a, b, c: tensor_lists.multiply_by(a, torch.tensor(3.0)), lambda a, b, c: a * 3),
        (lambda a, b, c: tensor_lists.divide_by(a, 4), lambda a, b, c: a / 4),
        (lambda a, b, c: tensor_lists.divide_by(a, torch.tensor(4.0)), lambda a, b, c: a / 4),
        (lambda a, b, c: tensor_lists.move_towards(a, b, 0.2), lambda a, b, c: a + 0.2 * (b - a)),
    ],
)
def test_in_place(
    change: Callable[[list[Tensor], list[Tensor], list[Tensor]], None],
    entry: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> None:
    a, b, c = drawn(1), drawn(2), drawn(3)
    held = list(a)
    expected = [entry(*entries) for entries in zip(drawn(1), b, c, strict=True)]
    change(a, b, c)
    torch.testing.assert_close(held, expected)
    torch.testing.assert_close([b, c], [drawn(2), drawn(3)], rtol=0, atol=0)
