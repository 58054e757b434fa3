"""The frozen backbone with a shared head: nothing else moves, and features are computed once."""

from pathlib import Path

import pytest
import torch

from methods.data import Batch
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, state_in


@pytest.fixture(params=list(BACKBONES))
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    study = toy_study(
        models,
        ("frozen_head",),
        benchmark=BACKBONES[request.param],
        backbones={request.param: {"path": str(models / request.param)}},
    )
    return Workbench(study, "frozen_head")


def test_features_are_those_of_the_images_and_computed_once(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (unit for unit in bench.units(("a", "b")) if unit.kind == "train")
    states = {first.key: state_in(bench.worker.compute(first, lambda _: {}))}
    trainer = bench.worker.trainer
    method, data = trainer.method, trainer._task("a")
    batch = data.batch(torch.tensor([5, 2, 90]))
    seen = method.backbone.eval().embed_images(batch.pixels)
    assert torch.allclose(method._features["a"][batch.ids], seen, atol=1e-6)

    bench.worker.compute(second, states.__getitem__)
    monkeypatch.setattr("methods.baselines.frozen_head.image_features", None)
    bench.learn(("b", "a"))  # both are known by now


def test_the_head_alone_is_kept_and_starts_as_no_head(bench: Workbench) -> None:
    """With the identity it answers as a zero-shot dual encoder does."""
    (first, *_) = bench.units(("a", "b"))
    trained = state_in(bench.worker.compute(first, lambda _: {}))
    assert trained.keys() == {"weights/head"}
    trainer = bench.worker.trainer
    method, batch = trainer.method.eval(), trainer._task("b").batch(torch.arange(48))
    method.reset(0)
    assert torch.equal(method.head.detach(), torch.eye(method.backbone.width))
    if bench.backbone == "clip":
        assert torch.equal(method.predict(batch), method.backbone.predict(batch))


def test_loss_and_prediction_agree(bench: Workbench) -> None:
    """In training and in evaluation the same features meet the same texts."""
    (first, *_) = bench.units(("a",))
    bench.worker.compute(first, lambda _: {})
    trainer = bench.worker.trainer
    method, batch = trainer.method, trainer._task("a").batch(torch.arange(30))
    answers = method.eval().predict(batch)
    given = Batch(batch.task, batch.pixels, answers, batch.ids, batch.questions)
    assert method.train().loss(given) <= method.loss(batch)
