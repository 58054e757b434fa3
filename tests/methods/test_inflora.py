"""Properties of adapters outside of the inputs of earlier tasks."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.adapters.inflora import Subspace, leading
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from tests.methods.opened import about_to_learn, bench_of

SEEDS = st.integers(0, 2**31)
SIZE = 8


def inputs(seed: int, count: int) -> Tensor:
    """One column per token, of uneven energy: [SIZE, count]."""
    generator = torch.Generator().manual_seed(seed)
    columns = torch.randn(SIZE, count, generator=generator, dtype=torch.float64)
    return columns * torch.logspace(0, -2, SIZE, dtype=torch.float64)[:, None]


def grown(seed: int, energy: float, tasks: int) -> tuple[list[Tensor], list[Subspace]]:
    """Inputs of some tasks, and the subspace before, between and after them."""
    found = [inputs(seed + task, 3) for task in range(tasks)]
    spaces = [Subspace(torch.zeros(SIZE, 0, dtype=torch.float64))]
    for h in found:
        spaces.append(spaces[-1].grown(h @ h.T, energy))
    return found, spaces


def used(space: Subspace) -> Tensor:
    """The projection onto a subspace."""
    return torch.eye(len(space.rest)) - space.rest @ space.rest.T


@given(SEEDS, st.floats(0.05, 0.999), st.integers(1, 4))
def test_holds_the_energy_of_the_last_task_and_no_dimension_more(
    seed: int, energy: float, tasks: int
) -> None:
    found, spaces = grown(seed, energy, tasks)
    h, before, after = found[-1], spaces[-2], spaces[-1]
    whole = h.square().sum()
    assert (used(after) @ h).square().sum() >= (energy - 1e-6) * whole
    values = torch.linalg.svdvals(h - used(before) @ h)
    added = round(float(torch.trace(used(after)) - torch.trace(used(before))))
    if added:
        held = (used(before) @ h).square().sum() + values[: added - 1].square().sum()
        assert held < (energy + 1e-6) * whole


@given(SEEDS, st.floats(0.5, 0.999), st.integers(1, 5))
def test_grows_and_never_forgets(seed: int, energy: float, tasks: int) -> None:
    _, spaces = grown(seed, energy, tasks)
    for one, two in pairwise(spaces):
        torch.testing.assert_close(used(two) @ used(one), used(one), rtol=0, atol=1e-6)
        identity = torch.eye(two.basis.shape[1], dtype=torch.float64)
        torch.testing.assert_close(two.basis.T @ two.basis, identity)
        assert two.basis.shape[1] <= SIZE / 2


def test_what_is_left_is_kept_once_it_is_smaller() -> None:
    _, spaces = grown(0, 0.999, 4)
    assert [space.is_rest for space in spaces] == [False, False, True, True, True]
    assert spaces[-1].basis.shape[1] < SIZE / 2


@given(SEEDS)
def test_leading_directions_are_left_singular_vectors(seed: int) -> None:
    h = inputs(seed, 20)
    _, spaces = grown(seed + 1, 0.9, 1)
    values, directions = leading(h @ h.T, spaces[-1].rest)
    u, singular, _ = torch.linalg.svd(h - used(spaces[-1]) @ h)
    torch.testing.assert_close(values, singular[: len(values)].square(), rtol=1e-4, atol=1e-8)
    assert (u[:, 0] @ directions[:, 0]).abs() == pytest.approx(1, abs=1e-4)


@pytest.fixture(params=BACKBONES)
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    return bench_of(models, request.param, "inflora", rank=4, energy=0.9)


def test_updates_are_orthogonal_to_the_inputs_of_earlier_tasks(bench: Workbench) -> None:
    method, _ = about_to_learn(bench, "a", "b")
    spaces = dict(method.spaces)
    before = {layer: weight.clone() for layer, weight in method.merged.items()}
    bench.learn(("a", "b"))
    assert spaces
    for layer, space in spaces.items():
        merged = method.merged[f"backbone.{layer}"]
        update = (merged - before[f"backbone.{layer}"]).detach()
        assert torch.trace(used(space)) > 0.9
        assert update.any()
        assert (update @ used(space)).norm() < 1e-3 * update.norm()


def test_rows_are_those_of_the_tasks_inputs_and_as_long_as_drawn_ones(bench: Workbench) -> None:
    method, stage = about_to_learn(bench, "a", "b")
    grams, empty = method.measure(stage), 0
    for layer, a in method.factors.items():
        values, _ = leading(grams[layer], method.spaces[layer].rest)
        filled = a.any(dim=1)
        empty += int((~filled).sum())
        own = a[filled]
        torch.testing.assert_close(3 * own @ own.T, torch.eye(len(own)), rtol=0, atol=1e-3)
        caught = float(3 * torch.trace(a @ grams[layer] @ a.T))
        assert caught == pytest.approx(float(values[: len(a)].sum()), rel=1e-2)
    assert empty < len(method.factors)


def test_only_b_is_trained(bench: Workbench) -> None:
    method, _ = about_to_learn(bench, "a", "b")
    free = {name for name, weight in method.named_parameters() if weight.requires_grad}
    assert free == {name for name, _ in method.named_parameters() if "lora_B" in name}


def test_rows_are_zero_where_nothing_is_left(models: Path) -> None:
    method, stage = about_to_learn(bench_of(models, "clip", "inflora", rank=4), "a", "b")
    for layer, a in method.factors.items():
        method.spaces[layer] = Subspace(torch.eye(a.shape[1])[:, :2], is_rest=True)
    method.before_task(stage)
    for a in method.factors.values():
        assert not a[2:].any()
        assert not a[:, 2:].any()
