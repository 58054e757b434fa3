"""Properties of synaptic intelligence."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.data import Stage
from tests.methods.opened import about_to_learn, bench_of
from tests.methods.test_penalty import agree

DAMPING = 0.5


@pytest.fixture
def learning(models: Path) -> tuple[Any, Stage]:
    return about_to_learn(bench_of(models, "clip", "si", damping=DAMPING), "a", "b")


def step(si: Any, gradients: list[Tensor], lr: float) -> None:
    """One step of plain gradient descent on a task with these gradients, and no penalty."""
    for weight, gradient in zip(si.weights, gradients, strict=True):
        weight.grad = gradient.clone()
    si.after_backward()
    with torch.no_grad():
        for weight, gradient in zip(si.weights, gradients, strict=True):
            weight -= lr * gradient
    si.after_step()


def test_path_adds_up_to_the_fall_of_a_quadratic_loss(learning: tuple[Any, Stage]) -> None:
    """Weight by weight: loss = curvature / 2 theta^2, steps much shorter than the way."""
    si, stage = learning
    torch.manual_seed(0)
    curvature = [torch.rand_like(weight) + 0.5 for weight in si.weights]
    start = [weight.detach().clone() for weight in si.weights]
    importance = [tensor.clone() for tensor in si.importance]
    for _ in range(200):
        step(si, [h * w.detach() for h, w in zip(curvature, si.weights, strict=True)], lr=0.01)
    ends = [weight.detach().clone() for weight in si.weights]
    falls = [h / 2 * (a**2 - b**2) for h, a, b in zip(curvature, start, ends, strict=True)]
    torch.testing.assert_close(si.path, falls, rtol=0.02, atol=1e-7)
    si.after_task(stage)
    everything = torch.cat([(b - a).flatten() for a, b in zip(start, ends, strict=True)])
    xi = DAMPING * everything.square().mean()
    for gained, fall, a, b, old in zip(si.importance, falls, start, ends, importance, strict=True):
        expected = fall / ((b - a) ** 2 + xi)
        torch.testing.assert_close(gained - old, expected, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1.0])
def test_the_way_back_costs_what_the_way_there_gained_at_any_rate(
    models: Path, scale: float
) -> None:
    """With c = 1 and an xi that is small: eq. 5's reason to divide by the square of the way."""
    bench = bench_of(models, "clip", "si", damping=1e-6, strength=2.0)
    si, stage = about_to_learn(bench, "a")
    ones = [torch.ones_like(weight) for weight in si.weights]
    start = [weight.detach().clone() for weight in si.weights]
    step(si, ones, lr=0.1 * scale)
    gain = sum(0.1 * scale * one.numel() for one in ones)
    si.after_task(stage)
    squares = [
        (importance * (weight.detach() - before) ** 2).sum()
        for importance, weight, before in zip(si.importance, si.weights, start, strict=True)
    ]
    cost = si.config.strength / 2 * sum(map(float, squares))
    assert cost == pytest.approx(gain, rel=1e-2)


def test_where_nothing_moved_nothing_is_important(models: Path) -> None:
    si, stage = about_to_learn(bench_of(models, "clip", "si"), "a")
    step(si, [torch.zeros_like(weight) for weight in si.weights], lr=0.1)
    si.after_task(stage)
    assert all(not importance.any() for importance in si.importance)


def test_path_knows_the_gradient_of_the_task_alone(learning: tuple[Any, Stage]) -> None:
    si, _ = learning
    ones = [torch.ones_like(weight) for weight in si.weights]
    for _ in range(3):
        step(si, ones, lr=0.1)
    assert any((weight.grad != 1).any() for weight in si.weights)
    assert agree(si.path, [0.3 * one for one in ones])


def test_weights_whose_way_led_up_are_unimportant(learning: tuple[Any, Stage]) -> None:
    si, stage = learning
    importance = [tensor.clone() for tensor in si.importance]
    step(si, [torch.ones_like(weight) for weight in si.weights], lr=-0.1)
    si.after_task(stage)
    assert all(map(torch.equal, si.importance, importance))
