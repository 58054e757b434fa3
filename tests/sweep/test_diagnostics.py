"""Diagnostics: against brute force on tiny models, and nothing changes where they are off."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from methods.backbones import load_backbone
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, same
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.preview.cost import measure_costs
from sweep.stage.diagnostics.cka import linear_cka
from sweep.stage.diagnostics.coalitions import coalitions, name_coalition
from sweep.stage.diagnostics.embedded_samples import PICTURED
from sweep.stage.diagnostics.modality import chance, partners
from sweep.stage.diagnostics.towers import TOWERS, Towers
from sweep.study.schema import Study
from tests.methods.opened import bench_of
from tests.methods.shipped import OPTIONS
from tests.sweep.plans import plan_of, study_of

ALL = ("modality", "towers", "cka")


@given(
    answers=arrays(np.int64, 6, elements=st.integers(-1, 3)),
    labels=arrays(np.int64, 6, elements=st.integers(0, 2)),
)
def test_chance_is_the_mean_over_all_pairs(answers: np.ndarray, labels: np.ndarray) -> None:
    expected = np.equal.outer(answers, labels).mean()
    found = chance(torch.from_numpy(answers), torch.from_numpy(labels))
    assert found == pytest.approx(expected)


def test_cka_is_1_up_to_rotation_scale_and_shift() -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    other = torch.randn(50, 6, generator=torch.Generator().manual_seed(2))
    assert linear_cka(x, other) < 0.3


def test_cka_of_what_is_all_the_same_is_not_defined() -> None:
    x = torch.randn(9, 4)
    assert linear_cka(x, torch.ones(9, 3)) is None
    assert linear_cka(torch.zeros(9, 3), x) is None
    broken = linear_cka(x, torch.full((9, 3), torch.nan))
    assert broken is not None
    assert math.isnan(broken)


def test_cka_is_the_alignment_of_centred_gram_matrices() -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(12, 4, generator=generator), torch.randn(12, 3, generator=generator)
    centre = torch.eye(12) - 1 / 12
    one, other = (centre @ z @ z.T @ centre for z in (x, y))
    expected = (one * other).sum() / (one.norm() * other.norm())
    assert linear_cka(x, y) == pytest.approx(float(expected), abs=1e-5)


def learnt(
    models: Path,
    backbone: str,
    method: str,
    order: str = "ab",
    extra: Sequence[str] = ALL,
    **options: object,
) -> Workbench:
    """A bench whose model has learnt an order, with extra measures."""
    bench = bench_of(models, backbone, method, **options)
    raw = bench.plan.study.model_dump(mode="json", by_alias=True)
    raw["evaluation"] = {"diagnostics": list(extra)}
    raw["methods"] = {method: {"method": method} | options}
    bench = Workbench(Study.from_dict(raw), method)
    bench.learn(tuple(order))
    return bench


def rows(bench: Workbench, split: str) -> dict[tuple[str, str], float]:
    scores, _ = bench.worker.evaluator.evaluate()
    return {(r["eval_task"], r["metric"]): r["value"] for r in scores if r["split"] == split}


@pytest.mark.parametrize(
    ("backbone", "method"), [("clip", "finetune"), ("clip", "lora"), ("llava", "finetune")]
)
def test_coalitions_of_towers_are_models_with_these_towers(
    models: Path, backbone: str, method: str
) -> None:
    bench = learnt(models, backbone, method)
    trainer = bench.worker.trainer.method
    before, found, accuracy = trainer.state(), rows(bench, "tower"), rows(bench, "task")
    assert same(trainer.state(), before)
    untouched = trainer._initial
    tower = trainer.backbone.tower
    for present in coalitions(TOWERS):
        mixed = {
            name: weight if tower(name.removeprefix("weights/")) in present else untouched[name]
            for name, weight in before.items()
        }
        trainer.load_state(mixed)
        for (task, metric), value in rows(bench, "task").items():
            assert metric != "accuracy" or found[task, name_coalition(present)] == value
    trainer.load_state(before)
    for task in bench.worker.benchmark.tasks:
        assert found[task, name_coalition(TOWERS)] == accuracy[task, "accuracy"]


def test_untouched_towers_have_one_worth(models: Path) -> None:
    bench = learnt(models, "clip", "finetune")
    bench.worker.trainer.method.reset(0)
    found, accuracy = rows(bench, "tower"), rows(bench, "task")
    assert all(value == accuracy[task, "accuracy"] for (task, _), value in found.items())
    assert not rows(bench, "update")
    assert rows(bench, "cka") == {("all tasks", "image"): 1.0, ("all tasks", "text"): 1.0}


@pytest.mark.parametrize("method", ["finetune", "osf", "coop", "l2p", "dualprompt", "diki", "dpw"])
def test_cka_is_with_the_untouched_backbone_whatever_was_evaluated_before(
    models: Path, method: str
) -> None:
    options: dict[str, Any] = OPTIONS.get(method, {})
    bench = learnt(models, "clip", method, extra=["cka"], **options)
    trainer, diagnostics = bench.worker.trainer, bench.worker.evaluator.diagnostics
    (cka,) = diagnostics
    plain = load_backbone(bench.plan.study.backbones["clip"].path).eval()
    tasks = bench.worker.benchmark.tasks.values()
    pixels = torch.cat([trainer.pixels("test", task)[torch.arange(32)] for task in tasks])
    texts = [text for task in tasks for text in plain.texts(task)]
    with torch.no_grad():
        untouched = {"image": plain.embed_images(pixels), "text": plain.embed_texts(texts)}
        moved = cka._embeddings()
    found = {modality: value for (_, modality), value in rows(bench, "cka").items()}
    expected = {name: linear_cka(moved[name], untouched[name]) for name in moved}
    assert found == pytest.approx(expected, abs=1e-4)
    assert min(found.values()) < 0.999


@pytest.mark.parametrize("method", ["finetune", "lora"])
def test_update_shares_are_those_of_the_weights_in_use(models: Path, method: str) -> None:
    bench = learnt(models, "clip", method)
    found = {tower: share for (_, tower), share in rows(bench, "update").items()}
    assert sum(found.values()) == pytest.approx(1)
    trainer = bench.worker.trainer.method
    squares = dict.fromkeys(TOWERS, 0.0)
    for name, module in trainer.named_modules():
        if method == "lora" and hasattr(module, "get_delta_weight"):
            delta = module.get_delta_weight("default").detach()
            squares[trainer.backbone.tower(name)] += float(delta.square().sum())
    if method == "finetune":
        for name, weight in trainer.state().items():
            update = (weight - trainer._initial[name]).square().sum()
            squares[trainer.backbone.tower(name)] += float(update)
    total = sum(squares.values())
    assert found == pytest.approx({tower: s / total for tower, s in squares.items()}, rel=1e-4)


def test_without_questions_the_text_has_no_worth_of_its_own(models: Path) -> None:
    found = rows(learnt(models, "clip", "finetune"), "modality")
    for task in "ab":
        assert found[task, "text"] == found[task, "none"]
        assert found[task, "image"] == found[task, "image+text"]


def test_exchanged_modalities_are_those_of_other_samples(models: Path) -> None:
    bench = learnt(models, "llava", "finetune")
    found, evaluator = rows(bench, "modality"), bench.worker.evaluator
    method = bench.worker.trainer.method
    (batch,) = evaluator.samples.batches(task := bench.worker.benchmark.tasks["b"])
    other = partners(task)
    assert sorted(other.tolist()) == list(range(len(other)))
    assert (other != torch.arange(len(other))).all()
    with torch.no_grad():
        blind = method.predict(
            type(batch)(task, batch.pixels[other], batch.labels, batch.ids, batch.questions)
        )
        whole = method.predict(batch)
    assert found["b", "text"] == float((blind == batch.labels).double().mean())
    assert found["b", "image+text"] == float((whole == batch.labels).double().mean())
    mixed = np.equal.outer(whole.numpy(), batch.labels.numpy()).mean()
    assert found["b", "none"] == pytest.approx(mixed)


def test_evaluations_differ_only_where_something_is_measured() -> None:
    def evaluations(**evaluation: Any) -> set[str]:
        return set(plan_of(study_of([("a", "b")], evaluation=evaluation)).evaluations)

    assert evaluations() == evaluations(batch_size=3)
    assert not evaluations() & evaluations(diagnostics=["cka"])
    one, other = (["cka", "towers"], ["towers", "cka", "cka"])
    assert evaluations(diagnostics=one) == evaluations(diagnostics=other)


def test_unknown_diagnostics_are_named() -> None:
    with pytest.raises(InputError, match="diagnostic"):
        study_of([("a", "b")], evaluation={"diagnostics": ["mood"]})


def test_the_price_shows_in_the_plan(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a diagnostic takes is a part of an evaluation: here it takes two seconds."""
    monkeypatch.setattr(Towers, "of_model", lambda _: time.sleep(2) or [])
    plain, extra = (
        measure_costs(make_plan(toy_study(models, **changes)))["clip", "finetune"]
        for changes in ({}, {"evaluation": {"diagnostics": ["towers"]}})
    )
    assert extra.seconds_per_evaluation > 2
    assert plain.seconds_per_evaluation < extra.seconds_per_evaluation


@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_shares_of_the_fit_are_of_both_modalities(models: Path, backbone: str) -> None:
    bench = learnt(models, backbone, "finetune", extra=["mm_shap"])
    found = rows(bench, "mm_shap")
    for task in "ab":
        assert 0 < found[task, "text"] < 1
        assert found[task, "text"] + found[task, "image"] == pytest.approx(1)
        assert (found[task, "none"], found[task, "image+text"]) == (0, 1)
    assert rows(bench, "mm_shap") == found


def test_features_are_those_of_single_samples(models: Path) -> None:
    bench = learnt(models, "clip", "finetune", extra=["features"])
    _, table = bench.worker.evaluator.evaluate()
    found = table.to_pandas()
    backbone, evaluator = bench.worker.trainer.backbone, bench.worker.evaluator
    for task in bench.worker.benchmark.tasks.values():
        mine = found[(found["eval_task"] == task.name) & found["sample"].notna()]
        images, texts = (mine[mine["modality"] == modality] for modality in ("image", "text"))
        ids = images["sample"].astype(int).to_numpy()
        assert len(set(ids)) == min(PICTURED, len(task.test.labels))
        assert list(images["choice"]) == task.test.labels[ids].tolist()
        with torch.no_grad():
            vectors = backbone.embed_images(evaluator.samples.pixels(task)[torch.tensor(ids)])
        np.testing.assert_allclose(np.stack(images["vector"]), vectors, atol=1e-6)
        assert list(texts["sample"]) == list(range(len(backbone.texts(task))))
        assert set(texts["choice"]) == set(range(len(task.choices)))
    plain = bench_of(models, "clip", "finetune")
    plain.learn(("a", "b"))
    means = found[found["sample"].isna()].reset_index(drop=True)
    expected = plain.worker.evaluator.evaluate()[1].to_pandas()
    assert means.drop(columns="vector").equals(expected.drop(columns="vector"))
    np.testing.assert_allclose(np.stack(means["vector"]), np.stack(expected["vector"]), atol=1e-6)
