"""Means of weights against their definitions."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from methods.tools.averages import WeightAverage


def averaged(path: list[Tensor], average: WeightAverage) -> Tensor:
    """What weights become that go along `path`."""
    weight = nn.Parameter(path[0].clone())
    average.start([weight])
    for point in path[1:]:
        weight.data.copy_(point)
        average.update()
    average.put_back()
    return weight.detach()


@pytest.fixture
def path() -> list[Tensor]:
    return list(torch.randn(10, 4, 3, generator=torch.Generator().manual_seed(0)))


def test_equal_shares_give_the_mean_of_the_start_and_all_steps(path: list[Tensor]) -> None:
    torch.testing.assert_close(averaged(path, WeightAverage()), torch.stack(path).mean(dim=0))


def test_only_every_kth_step_counts(path: list[Tensor]) -> None:
    expected = torch.stack([path[0], path[3], path[6], path[9]]).mean(dim=0)
    torch.testing.assert_close(averaged(path, WeightAverage(every=3)), expected)


@pytest.mark.parametrize(("every", "counted"), [(4, [0, 4, 8, 9]), (100, [0, 9])])
def test_the_end_always_counts(path: list[Tensor], every: int, counted: list[int]) -> None:
    expected = torch.stack([path[i] for i in counted]).mean(dim=0)
    torch.testing.assert_close(averaged(path, WeightAverage(every=every)), expected)


def test_decay_weighs_a_step_by_its_age(path: list[Tensor]) -> None:
    """mean = d^n theta_0 + (1 - d) sum_i d^(n - i) theta_i."""
    d, n = 0.7, len(path) - 1
    shares = [d**n] + [(1 - d) * d ** (n - i) for i in range(1, n + 1)]
    expected = sum(share * point for share, point in zip(shares, path, strict=True))
    torch.testing.assert_close(averaged(path, WeightAverage(decay=d)), expected)


def test_the_same_average_serves_stage_after_stage(path: list[Tensor]) -> None:
    average = WeightAverage(every=2)
    first, again = averaged(path, average), averaged(path, average)
    assert torch.equal(first, again)


def test_weights_are_left_alone_until_the_end(path: list[Tensor]) -> None:
    weight, average = nn.Parameter(path[0].clone()), WeightAverage()
    average.start([weight])
    for before, after in pairwise(path):
        assert torch.equal(weight, before)
        weight.data.copy_(after)
        average.update()
    assert torch.equal(weight, path[-1])
