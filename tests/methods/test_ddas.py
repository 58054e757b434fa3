"""Properties of the task selector: whose images are whose, and which are nobody's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from methods.adapters.ddas import SelectorOptions, errors, fit_autoencoder, select_task

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


@pytest.fixture(scope="module")
def models() -> list[dict[str, Tensor]]:
    return [fit_autoencoder(embeddings(task, 200), OPTIONS, seed=task) for task in range(3)]


@pytest.mark.parametrize("task", range(3))
def test_new_samples_of_a_task_find_it(models: list[dict[str, Tensor]], task: int) -> None:
    best, within = select_task(models, embeddings(task, 300, seed=1))
    assert (best == task).float().mean() > 0.99
    assert within.float().mean() > 0.9


def test_strangers_find_none(models: list[dict[str, Tensor]]) -> None:
    for stranger in range(3, 9):
        assert select_task(models, embeddings(stranger, 100))[1].float().mean() < 0.05


def test_every_sample_is_routed_by_itself(models: list[dict[str, Tensor]]) -> None:
    mixed = torch.cat([embeddings(task, 5, seed=2) for task in range(5)])
    best, within = select_task(models, mixed)
    for i in range(len(mixed)):
        alone = select_task(models, mixed[i : i + 1])
        assert (alone[0], alone[1]) == (best[i], within[i])


def test_the_threshold_lets_in_as_many_as_it_says() -> None:
    features = embeddings(0, 2000)
    for share in (0.5, 0.9):
        model = fit_autoencoder(features, OPTIONS.model_copy(update={"accepts": share}), seed=0)
        within = errors(model, embeddings(0, 2000, seed=1)) <= model["threshold"]
        assert within.float().mean() == pytest.approx(share, abs=0.06)


def test_a_fit_is_a_function_of_its_arguments() -> None:
    torch.manual_seed(1)
    one = fit_autoencoder(embeddings(0, 50), OPTIONS, seed=0)
    torch.manual_seed(2)
    two = fit_autoencoder(embeddings(0, 50), OPTIONS, seed=0)
    other = fit_autoencoder(embeddings(0, 50), OPTIONS, seed=1)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["encoder"], other["encoder"])


def test_entries_that_never_vary_are_borne() -> None:
    features = embeddings(0, 200)
    features[:, 0] = 0.5
    model = fit_autoencoder(features, OPTIONS, seed=0)
    assert all(part.isfinite().all() for part in model.values())
    assert (errors(model, features) <= model["threshold"]).float().mean() > 0.9
