"""Properties of the task selector: whose images are whose, and which are nobody's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from methods.adapters.ddas import (
    SelectorOptions,
    errors,
    fit_autoencoder,
    scale_of,
    select_task,
)
from methods.base import State

OPTIONS = SelectorOptions(width=8)
SIZE = 24


def embeddings(task: int, count: int, seed: int = 0) -> Tensor:
    """Vectors of length one near a plane of the task's own: float32 [count, SIZE]."""
    plane = np.random.default_rng(task).normal(size=(4, SIZE))
    rng = np.random.default_rng((task, seed))
    points = plane[0] + 0.3 * rng.normal(size=(count, 3)) @ plane[1:]
    points += 0.05 * rng.normal(size=points.shape)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return torch.from_numpy(points).float()


POOL = torch.cat([embeddings(task, 40) for task in range(20, 45)])
"""Of no task, from many planes."""
SCALE = scale_of(POOL)


@pytest.fixture(scope="module")
def models() -> list[State]:
    return [fit_autoencoder(embeddings(task, 200), SCALE, OPTIONS, seed=task) for task in range(3)]


@pytest.fixture(scope="module")
def of_no_task() -> State:
    return fit_autoencoder(POOL, SCALE, OPTIONS, seed=9)


@pytest.mark.parametrize("task", range(3))
def test_new_samples_of_a_task_find_it(models: list[State], of_no_task: State, task: int) -> None:
    best, within = select_task(models, of_no_task, embeddings(task, 300, seed=1))
    assert (best == task).float().mean() > 0.99
    assert within.float().mean() > 0.9


def test_strangers_find_none(models: list[State], of_no_task: State) -> None:
    for stranger in range(3, 9):
        assert select_task(models, of_no_task, embeddings(stranger, 100))[1].float().mean() < 0.05


def near(task: int, how_near: float, count: int = 300) -> Tensor:
    """Samples between a task's plane and others'."""
    own, other = embeddings(task, count, seed=4), torch.roll(POOL, 7, dims=0)[:count]
    mixed = how_near * own + (1 - how_near) * other
    return mixed / mixed.norm(dim=1, keepdim=True)


def test_near_strangers_are_left_to_the_autoencoder_of_no_task(
    models: list[State], of_no_task: State
) -> None:
    """Of images between a task and the pool, its threshold alone lets in more."""
    generous = [model | {"threshold": torch.tensor(torch.inf)} for model in models]
    accepted = [
        float(select_task(generous, of_no_task, near(0, how))[1].float().mean())
        for how in (0.0, 0.3, 0.6, 1.0)
    ]
    assert accepted == sorted(accepted)
    assert accepted[0] < 0.02
    assert accepted[-1] > 0.95


def test_a_sample_goes_where_its_error_is_least(models: list[State], of_no_task: State) -> None:
    """Worked out in numpy; that of no task alone keeps strangers from the first task."""
    models = [models[0] | {"threshold": torch.tensor(torch.inf)}, *models[1:]]
    features = torch.cat(
        [near(task, how, 20) for task in range(3) for how in (0.5, 1)] + [POOL[:20]]
    )
    best, within = select_task(models, of_no_task, features)
    for i, z in enumerate(features.numpy().astype(np.float64)):
        found = []
        for model in (*models, of_no_task):
            part = {name: tensor.numpy().astype(np.float64) for name, tensor in model.items()}
            u = 1 / (1 + np.exp(-(z - POOL.numpy().mean(0)) / POOL.numpy().std(0)))
            hidden = np.maximum(u @ part["encoder"] + part["code"], 0)
            again = 1 / (1 + np.exp(-(hidden @ part["decoder"] + part["output"])))
            found.append(np.mean((u - again) ** 2))
        assert best[i] == np.argmin(found[:-1])
        is_own = np.argmin(found) < 3 and min(found) <= models[int(best[i])]["threshold"]
        assert bool(within[i]) == is_own
    assert within[best == 0].any()
    assert not within[best == 0].all()


def test_every_sample_is_routed_by_itself(models: list[State], of_no_task: State) -> None:
    mixed = torch.cat([embeddings(task, 5, seed=2) for task in range(5)])
    best, within = select_task(models, of_no_task, mixed)
    for i in range(len(mixed)):
        alone = select_task(models, of_no_task, mixed[i : i + 1])
        assert (alone[0], alone[1]) == (best[i], within[i])


def test_the_threshold_lets_in_as_many_as_it_says() -> None:
    features = embeddings(0, 2000)
    for share in (0.5, 0.9):
        model = fit_autoencoder(
            features, SCALE, OPTIONS.model_copy(update={"accepts": share}), seed=0
        )
        within = errors(model, embeddings(0, 2000, seed=1)) <= model["threshold"]
        assert within.float().mean() == pytest.approx(share, abs=0.06)


def test_a_fit_is_a_function_of_its_arguments() -> None:
    torch.manual_seed(1)
    one = fit_autoencoder(embeddings(0, 50), SCALE, OPTIONS, seed=0)
    torch.manual_seed(2)
    two = fit_autoencoder(embeddings(0, 50), SCALE, OPTIONS, seed=0)
    other = fit_autoencoder(embeddings(0, 50), SCALE, OPTIONS, seed=1)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["encoder"], other["encoder"])


def test_entries_that_never_vary_are_borne() -> None:
    features = embeddings(0, 200)
    features[:, 0] = 0.5
    model = fit_autoencoder(features, SCALE, OPTIONS, seed=0)
    assert all(part.isfinite().all() for part in model.values())
    assert (errors(model, features) <= model["threshold"]).float().mean() > 0.9
