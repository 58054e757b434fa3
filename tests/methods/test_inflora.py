"""Properties of adapters outside of the inputs of earlier tasks."""

from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.adapters.inflora import EnergyOf, InfLoraConfig, Subspace, leading
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from methods.tools.layer_inputs import input_grams, some_batches
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
        spaces.append(spaces[-1].grown(h @ h.T, energy, "inputs"))
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


def closed_by_hand(tasks: list[np.ndarray], energy: float, of: EnergyOf) -> list[np.ndarray]:
    """Projections onto what is closed after each task, by singular values, direction by direction.

    Of H itself, as the paper has it, or of H H^T, as the authors' code has it.
    """
    closed, found = np.zeros((SIZE, SIZE)), []
    for h in tasks:
        matrix = h @ h.T if of == "gram" else h
        whole = np.linalg.norm(matrix) ** 2
        left = matrix - closed @ matrix
        vectors, values, _ = np.linalg.svd(left)
        held = whole - np.linalg.norm(left) ** 2
        for vector, value in zip(vectors.T, values, strict=False):
            if held >= energy * whole:
                break
            held += value**2
            closed = closed + np.outer(vector, vector)
        found.append(closed)
    return found


@given(SEEDS, st.floats(0.3, 0.995), st.sampled_from(["inputs", "gram"]))
def test_closes_what_singular_values_say(seed: int, energy: float, of: EnergyOf) -> None:
    found = [inputs(seed + task, 12) for task in range(3)]
    expected = closed_by_hand([h.numpy() for h in found], energy, of)
    space = Subspace(torch.zeros(SIZE, 0, dtype=torch.float64))
    for h, closed in zip(found, expected, strict=True):
        space = space.grown(h @ h.T, energy, of)
        torch.testing.assert_close(used(space).numpy(), closed, rtol=0, atol=1e-5)


def test_epsilon_of_the_gram_matrix_closes_less() -> None:
    """Singular values 4, 2, 1, 1, 1, 1, 1, 1: squares add up to 26, fourth powers to 278."""
    h = torch.diag(torch.tensor([4.0, 2, 1, 1, 1, 1, 1, 1], dtype=torch.float64))
    start = Subspace(torch.zeros(SIZE, 0, dtype=torch.float64))
    for energy, of_inputs, of_gram in ((0.9, 6, 1), (0.95, 7, 2), (0.98, 8, 3)):
        for of, dimensions in (("inputs", of_inputs), ("gram", of_gram)):
            closed = torch.trace(used(start.grown(h @ h.T, energy, of)))
            assert round(float(closed)) == dimensions


def test_the_published_measure_is_the_default() -> None:
    assert InfLoraConfig().energy_of == "gram"


@given(SEEDS)
def test_leading_directions_are_left_singular_vectors(seed: int) -> None:
    h = inputs(seed, 20)
    _, spaces = grown(seed + 1, 0.9, 1)
    values, directions = leading(h @ h.T, spaces[-1].rest, "inputs")
    u, singular, _ = torch.linalg.svd(h - used(spaces[-1]) @ h)
    torch.testing.assert_close(values, singular[: len(values)].square(), rtol=1e-4, atol=1e-8)
    assert (u[:, 0] @ directions[:, 0]).abs() == pytest.approx(1, abs=1e-4)
    sizes, directions = leading(h @ h.T, spaces[-1].rest, "gram")
    u, singular, _ = torch.linalg.svd(h @ h.T - used(spaces[-1]) @ h @ h.T)
    torch.testing.assert_close(sizes, singular[: len(sizes)], rtol=1e-4, atol=1e-8)
    assert (u[:, 0] @ directions[:, 0]).abs() == pytest.approx(1, abs=1e-4)


@pytest.fixture(params=[(b, of) for b in BACKBONES for of in get_args(EnergyOf)])
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    backbone, of = request.param
    return bench_of(models, backbone, "inflora", rank=4, energy=0.9, energy_of=of)


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
    grams = {layer: gram for layers, gram in method.measure(stage) for layer in layers}
    empty = 0
    for layer, a in method.factors.items():
        rest, gram = method.spaces[layer].rest, grams[layer]
        values, _ = leading(gram, rest, method.config.energy_of)
        filled = a.any(dim=1)
        empty += int((~filled).sum())
        own = a[filled]
        torch.testing.assert_close(3 * own @ own.T, torch.eye(len(own)), rtol=0, atol=1e-3)
        seen = a @ gram
        if method.config.energy_of == "gram":  # what A catches of H H^T outside of the subspace
            caught = 3**0.5 * (seen @ seen.T).diagonal().clamp(min=0).sqrt().sum()
        else:
            caught = 3 * torch.trace(seen @ a.T)
        assert float(caught) == pytest.approx(float(values[: len(a)].sum()), rel=1e-2)
    assert empty < len(method.factors)


def test_layers_with_the_same_inputs_have_one_subspace(bench: Workbench) -> None:
    """Queries, keys and values; gate and up projections of a LLaMA."""
    method, stage = about_to_learn(bench, "a", "b")
    bases = [name for name in method.extra_state() if name.startswith(("space/", "rest/"))]
    groups = [name.partition("/")[2].split("+") for name in bases]
    together = {tuple(sorted(n.rpartition(".")[2] for n in group)) for group in groups}
    expected = {("k_proj", "q_proj", "v_proj")}
    if any(layer.endswith("gate_proj") for layer in method.layers):
        expected.add(("gate_proj", "up_proj"))
    assert {group for group in together if len(group) > 1} == expected
    assert sorted(layer for group in groups for layer in group) == sorted(method.layers)
    # Layer by layer, as if each had a subspace of its own.
    before = dict(method.spaces)
    with method.backbone.without_dropout():
        batches = some_batches(stage, method.config.samples)
        alone = input_grams(method.backbone, method.layers, batches)
    assert {layer for layers, _ in method.measure(stage) for layer in layers} == set(alone)
    for layers, gram in method.measure(stage):
        assert all(torch.equal(alone[layer], gram) for layer in layers)
        assert all(torch.equal(before[layer].basis, before[layers[0]].basis) for layer in layers)


def test_equal_inputs_do_not_join_layers_with_different_pasts(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, stage = about_to_learn(bench_of(models, "clip", "inflora", rank=4), "a", "b")
    one, other = [layer for layer in method.layers if layer.endswith("q_proj")][:2]
    size = method.factors[one].shape[1]
    method.spaces[one] = Subspace(torch.eye(size)[:, :3])
    method.spaces[other] = Subspace(torch.eye(size)[:, :3], is_rest=True)
    same = {layer: torch.eye(a.shape[1]) for layer, a in method.factors.items()}
    monkeypatch.setattr("methods.adapters.inflora.input_grams", lambda *_: same)
    found = {layer: layers for layers, _ in method.measure(stage) for layer in layers}
    assert len(found) == len(method.layers)
    assert found[one] == [one]
    assert found[other] == [other]


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
