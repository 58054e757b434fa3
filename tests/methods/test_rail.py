"""Properties of regression-based analytic incremental learning."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge as LinearRidge
from torch import Tensor

from methods.analytic.rail import RAIL, RAILConfig
from methods.analytic.ridge import Dual, Primal, Ridge
from methods.base import State
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench, same
from methods.tools.image_features import image_features
from sweep.errors import InputError
from sweep.measuring.checking import check_samples
from tests.methods.opened import asked, bench_of
from tests.sweep.plans import plan_of
from tests.sweep.plans import study_of as planned

CLASSES = {"a": 2, "b": 3, "c": 4}
FORMS: list[Ridge] = [Primal(ridge=0.1, width=20), Dual(ridge=0.001, gamma=0.1)]
OPTIONS: dict[str, dict[str, Any]] = {"primal": {"width": 64}, "dual": {"form": "dual"}}


def samples(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Per task, features at length one [N, 6] and one-hot targets, float64."""
    rng, drawn = np.random.default_rng(seed), {}
    for task, classes in CLASSES.items():
        count = int(rng.integers(5, 30))
        features = rng.normal(size=(count, 6))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        targets = np.eye(classes)[rng.integers(0, classes, count)]
        drawn[task] = (torch.from_numpy(features), torch.from_numpy(targets))
    return drawn


def solved(form: Ridge, tasks: Mapping[str, tuple[Tensor, Tensor]]) -> State:
    summaries = {task: form.summarise(*data, seed=1) for task, data in tasks.items()}
    return form.solve(summaries, torch.device("cpu"))


def scores(form: Ridge, solution: State, features: Tensor) -> np.ndarray:
    weights = torch.cat([solution[f"weights/{task}"] for task in CLASSES], dim=1)
    return (form.lift(features, solution["points"]) @ weights).numpy()


@pytest.mark.parametrize("form", FORMS, ids=["primal", "dual"])
@given(st.integers(0, 2**32 - 1))
def test_is_the_regression_on_all_samples_at_once(form: Ridge, seed: int) -> None:
    tasks, test = samples(seed), samples(seed + 1)["a"][0]
    solution = solved(form, tasks)
    inputs = torch.cat([features for features, _ in tasks.values()]).numpy()
    targets = torch.block_diag(*[targets for _, targets in tasks.values()]).numpy()
    if isinstance(form, Primal):
        layer = solution["points"].numpy()
        oracle = LinearRidge(alpha=form.ridge, fit_intercept=False)
        oracle.fit(np.maximum(inputs @ layer, 0), targets)
        expected = oracle.predict(np.maximum(test.numpy() @ layer, 0))
    else:
        assert isinstance(form, Dual)
        oracle = KernelRidge(alpha=form.ridge, kernel="rbf", gamma=form.gamma)
        expected = oracle.fit(inputs, targets).predict(test.numpy())
    np.testing.assert_allclose(scores(form, solution, test), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("form", FORMS, ids=["primal", "dual"])
@given(st.integers(0, 2**32 - 1), st.permutations(list(CLASSES)))
def test_tasks_may_come_in_any_order(form: Ridge, seed: int, order: list[str]) -> None:
    tasks, test = samples(seed), samples(seed + 1)["a"][0]
    turned = solved(form, {task: tasks[task] for task in order})
    straight = scores(form, solved(form, tasks), test)
    np.testing.assert_allclose(scores(form, turned, test), straight, rtol=0, atol=1e-8)


def test_many_samples_are_lifted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    form, tasks = FORMS[0], samples(0)
    whole = form.summarise(*tasks["a"], seed=1)
    monkeypatch.setattr("methods.analytic.ridge._ROWS", 4)
    parts = form.summarise(*tasks["a"], seed=1)
    assert all(torch.allclose(parts[name], whole[name], rtol=1e-12) for name in whole)


def test_every_task_is_trained_once_for_all_orders_and_without_steps() -> None:
    plan = plan_of(planned(list(permutations("abcde")), "rail"))
    trainings = plan.trainings("rail")
    assert len(plan.runs) == 120
    assert len(trainings) == 5
    assert [plan.steps(plan.units[key]) for key in trainings] == [0] * 5
    assert sum(unit.kind == "combine" for unit in plan.units.values()) == 2**5 - 1


def tasks_of(bench: Workbench) -> tuple[str, ...]:
    return bench.plan.study.benchmark.task_names()


def after(bench: Workbench, *order: str) -> RAIL:
    """The method after the last stage of an order."""
    bench.learn(order)
    method = bench.worker.trainer.method
    assert isinstance(method, RAIL)
    return method


@pytest.fixture(params=list(BACKBONES))
def backbone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_order_gives_the_same_predictor(
    models: Path, backbone: str, options: dict[str, Any]
) -> None:
    bench = bench_of(models, backbone, "rail", **options)
    solutions = [after(bench, *order).solution for order in permutations(tasks_of(bench))]
    assert all(same(solution, solutions[0]) for solution in solutions)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_known_task_is_answered_by_both_together(
    models: Path, backbone: str, options: dict[str, Any]
) -> None:
    bench = bench_of(models, backbone, "rail", **options)
    rail = after(bench, *tasks_of(bench))
    rail.eval()
    batch = asked(bench, "a")
    adapter = (
        rail.regression.lift(
            rail.backbone.embed_images(batch.pixels).double(), rail.solution["points"]
        )
        @ rail.solution["weights/a"]
    )
    answers = [rail.backbone.predict(batch).tolist()]
    for beta in (0.02, 0.3, 0.98):
        rail.config = rail.config.model_copy(update={"beta": beta})
        fused = (1 - beta) * rail.backbone.logits(batch).double().softmax(dim=1) + beta * adapter
        answers.append(rail.predict(batch).tolist())
        assert answers[-1] == fused.argmax(dim=1).tolist()
    assert answers[1] != answers[3]  # so that it matters whose share is which
    assert answers[0] != answers[3]


@pytest.mark.parametrize("task", ["known", "inferred"])
def test_what_was_not_learnt_is_answered_by_the_untouched_backbone(
    models: Path, backbone: str, task: str
) -> None:
    bench = bench_of(models, backbone, "rail", width=64, task=task)
    bench.learn(tasks_of(bench)[:1])
    unit = bench.units(tasks_of(bench)[:1])[0]
    state = bench.worker.compute(unit, lambda _: {}).state
    assert state is not None
    rail = bench.worker.trainer.method
    rail.eval()
    for task in ("a", "b", "suite"):  # trained on a, but nothing is combined yet
        assert torch.equal(
            rail.predict(asked(bench, task)), rail.backbone.predict(asked(bench, task))
        )
    if task == "known":
        rail = after(bench, "a").eval()
        for task in ("b", "suite"):
            batch = asked(bench, task)
            assert torch.equal(rail.predict(batch), rail.backbone.predict(batch))


@pytest.mark.parametrize("own", ["a", "b"])
def test_an_unknown_task_competes_with_all_that_were_learnt(
    models: Path, backbone: str, own: str
) -> None:
    """Worked out sample by sample, with and without its task among those learnt."""
    bench = bench_of(models, backbone, "rail", width=64, task="inferred")
    rail = after(bench, "b").eval()
    rail.learnt["b"] = replace(rail.learnt["b"], choices=("green", "color", "what"))
    batch = replace(asked(bench, own), task=bench.worker.benchmark.tasks["a"])
    if own == "b":
        rail.learnt["a"] = batch.task
        rail.solution["weights/a"] = -rail.solution["weights/b"]
    tasks = {"a": batch.task, "b": rail.learnt["b"]}
    beliefs = torch.cat(
        [rail.backbone.logits(replace(batch, task=tasks[name])) for name in "ab"], 1
    )
    lifted = rail.regression.lift(
        rail.backbone.embed_images(batch.pixels).double(), rail.solution["points"]
    )
    expected = []
    for belief, features in zip(beliefs.double().softmax(dim=1), lifted, strict=True):
        if own == "b" or belief.argmax() > 2:
            adapter = [
                features @ rail.solution.get(f"weights/{name}", torch.zeros(64, 3).double())
                for name in tasks
            ]
            belief = 0.2 * belief + 0.8 * torch.cat(adapter)
        expected.append((0, 1, 2, 1, -1, -1)[int(belief.argmax())])
    assert rail.predict(batch).tolist() == expected
    assert len(set(expected)) > 1


def test_workers_share_out_the_samples(models: Path, backbone: str) -> None:
    """Without a process group to sum over, each of three has its own rows, as one would have."""
    bench = bench_of(models, backbone, "rail", width=64)
    rail = after(bench, "a")
    stage = bench.worker.trainer._stage(bench.units(("a",))[0])
    whole = image_features(rail.backbone, stage)
    shares = [
        image_features(rail.backbone, replace(stage, rank=rank, world_size=3)) for rank in range(3)
    ]
    assert torch.equal(sum(shares, torch.zeros(())), whole)
    assert sorted(int(share.any(dim=1).sum()) for share in shares) == [32, 32, 32]
    assert torch.allclose(whole.norm(dim=1), torch.ones(len(whole)))


def test_steps_are_refused(models: Path) -> None:
    bench = bench_of(models, "clip", "rail", width=64)
    with pytest.raises(TypeError, match="step"):
        after(bench, "a").loss(asked(bench, "a"))


@pytest.mark.parametrize("form", FORMS, ids=["primal", "dual"])
def test_solving_leaves_summaries_as_they_are(form: Ridge) -> None:
    """They may be the very tensors that serve the next set of tasks."""
    summaries = {task: form.summarise(*data, seed=1) for task, data in samples(3).items()}
    before = {task: {n: part.clone() for n, part in s.items()} for task, s in summaries.items()}
    form.solve(summaries, torch.device("cpu"))
    assert all(same(summaries[task], before[task]) for task in summaries)


def test_a_matrix_of_all_pairs_that_fits_nowhere_is_refused(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy has 96 samples per task: 288 of them have 82944 pairs."""
    orders = [("a", "b", "c"), ("c", "b", "a")]
    for rows, refused in ((288, False), (287, True)):
        monkeypatch.setattr("methods.analytic.rail._MOST_ROWS", rows)
        for form in ("primal", "dual"):
            study = bench_of(models, "clip", "rail", form=form).plan.study
            if not (refused and form == "dual"):
                check_samples(study, orders)
                continue
            with pytest.raises(InputError, match=r"'rail' .* 0 GB for 288 .* at most 287 ") as said:
                check_samples(study, orders)
            assert str(said.value).count(". ") == 0
            check_samples(study, [("a", "b")])


def test_as_many_units_are_allowed_as_samples() -> None:
    samples = RAIL.most_samples(RAILConfig(form="dual"))
    assert samples is not None
    assert 8 * samples**2 <= 64 * 2**30 < 8 * (samples + 1) ** 2
    assert RAILConfig(width=samples).width == samples
    with pytest.raises(ValidationError, match="width"):
        RAILConfig(width=samples + 1)
