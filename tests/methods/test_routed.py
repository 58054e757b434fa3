"""Properties of DIKI and DPW, and of the densities that route their images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import multivariate_normal

from methods.base import State
from methods.prompts.densities import Densities, moments
from methods.prompts.routed import Routed
from methods.testing.toy import BACKBONES, TOY, toy_study
from methods.testing.workbench import Workbench
from sweep.measuring.measure import make_plan
from tests.methods.opened import bench_of

CPU = torch.device("cpu")
ROUTED = ("diki", "dpw")


@given(st.integers(0, 2**31), st.integers(1, 6), st.floats(1e-7, 1))
def test_densities_are_those_of_scipy(seed: int, width: int, epsilon: float) -> None:
    rng = np.random.default_rng(seed)
    tasks: list[State] = []
    for _ in range(3):
        samples = rng.normal(size=(50, width))
        mean, covariance = samples.mean(axis=0), np.atleast_2d(np.cov(samples.T))
        tasks.append({"mean": torch.tensor(mean), "covariance": torch.tensor(covariance)})
    images = rng.normal(size=(4, width))
    expected = [
        multivariate_normal(task["mean"], task["covariance"] + epsilon * np.eye(width)).logpdf(
            images
        )
        for task in tasks
    ]
    found = Densities(tasks, epsilon, CPU)(torch.tensor(images))
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-9)


def test_a_share_of_gaussian_images_exceeds_its_density() -> None:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(8, 8))
    task = {"mean": torch.tensor(rng.normal(size=8)), "covariance": torch.tensor(factor @ factor.T)}
    densities = Densities([task], 1e-7, CPU)
    images = torch.tensor(rng.multivariate_normal(task["mean"], task["covariance"], 20_000))
    for share in (0.5, 0.9, 0.99):
        above = densities(images) > densities.exceeded_by(share)
        assert float(above.double().mean()) == pytest.approx(share, abs=0.01)


def trained(models: Path, backbone: str, method: str, *order: str) -> tuple[Workbench, Routed]:
    bench = bench_of(models, backbone, method, lr=0.05)
    bench.learn(order)
    routed = bench.worker.trainer.method
    assert isinstance(routed, Routed)
    return bench, routed


def images_of(bench: Workbench, task: str) -> torch.Tensor:
    benchmark = bench.worker.benchmark
    found = benchmark.tasks.get(task) or benchmark.probes[task]
    return bench.worker.trainer.pixels("test", found)[torch.arange(32)]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_moments_are_those_of_all_training_images(models: Path, backbone: str) -> None:
    bench, diki = trained(models, backbone, "diki", "a")
    trainer = bench.worker.trainer
    (unit, _) = bench.units(("a",))
    stage = trainer._stage(unit)
    features = diki.backbone.query(stage.tasks["a"].batch(torch.arange(96)).pixels)
    measured = moments(diki.backbone, stage)
    np.testing.assert_allclose(measured["mean"], features.double().mean(dim=0), atol=1e-6)
    np.testing.assert_allclose(measured["covariance"], features.double().T.cov(), atol=1e-6)


@pytest.mark.parametrize("method", ROUTED)
def test_images_go_to_the_task_they_look_like_and_strangers_nowhere(
    models: Path, method: str
) -> None:
    bench, routed = trained(models, "clip", method, "a", "b", "c")
    weights = {}
    for number, task in enumerate("abc"):
        route = routed.choose(routed.backbone.query(images_of(bench, task)))
        assert (route.prompts == number).all()
        weights[task] = route.weight.mean()
    noise = torch.randint(
        256, (32, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    strange = routed.choose(routed.backbone.query(noise)).weight.mean()
    assert strange < 0.1 < 0.7 < min(weights.values())


@pytest.mark.parametrize("method", ROUTED)
def test_prompts_count_by_the_papers_weight(models: Path, method: str) -> None:
    """w = sigmoid(log p / D - 1), with densities of scipy's; the - 1 halves what is half known."""
    bench = bench_of(models, "clip", method, epsilon=1e-2)
    bench.learn(("a", "b", "c"))
    routed = bench.worker.trainer.method
    assert isinstance(routed, Routed)
    densities = []
    for task in "abc":
        data = bench.worker.trainer._task(task)
        features = routed.backbone.query(data.batch(torch.arange(len(data))).pixels).double()
        spread = features.T.cov() + 1e-2 * torch.eye(features.shape[1])
        densities.append(multivariate_normal(features.mean(dim=0), spread))
    noise = torch.randint(
        256, (32, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    for pixels in (*(images_of(bench, task) for task in "abc"), noise):
        query = routed.backbone.query(pixels)
        logs = np.stack([density.logpdf(query.double().numpy()) for density in densities])
        expected = expit(logs.max(axis=0) / query.shape[1] - 1)
        route = routed.choose(query)
        np.testing.assert_array_equal(route.prompts[:, 0], logs.argmax(axis=0))
        np.testing.assert_allclose(route.weight, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_diki_changes_nothing_before_it_is_trained(models: Path, backbone: str) -> None:
    bench, diki = trained(models, backbone, "diki", "a")
    diki.reset(1)
    assert diki.backbone.prompting.route is not None
    assert bench.worker.evaluator.evaluate()[0] == list(
        next(iter(bench.untouched.values())).record.scores
    )


@pytest.mark.parametrize("method", ROUTED)
def test_five_trainings_serve_all_orders_of_five_tasks(models: Path, method: str) -> None:
    study = toy_study(models, {method: {}}, benchmark={"name": TOY, "num_tasks": 5})
    plan = make_plan(study)
    assert len({run.order for run in plan.runs}) == 120
    assert len(plan.trainings(method)) == 5
