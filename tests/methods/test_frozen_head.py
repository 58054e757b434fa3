"""The frozen backbone with a shared head: nothing else moves, and features are computed once."""

from pathlib import Path

import pytest
import torch

from methods.data import Batch
from tests.methods.conformance import BACKBONES, Desk, state_in
from tests.toy import toy_study


@pytest.fixture(params=list(BACKBONES))
def desk(request: pytest.FixtureRequest, models: Path) -> Desk:
    study = toy_study(
        models,
        ("frozen_head",),
        benchmark=BACKBONES[request.param],
        backbones={request.param: {"path": str(models / request.param)}},
    )
    return Desk(study, "frozen_head")


def test_features_are_those_of_the_images_and_computed_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (unit for unit in desk.units(("a", "b")) if unit.kind == "train")
    states = {first.key: state_in(desk.worker.compute(first, lambda _: {}))}
    trainer = desk.worker.trainer
    method, data = trainer.method, trainer._task("a")
    batch = data.batch(torch.tensor([5, 2, 90]))
    seen = method.backbone.eval().embed_images(batch.pixels)
    assert torch.allclose(method._features["a"][batch.ids], seen, atol=1e-6)

    desk.worker.compute(second, states.__getitem__)
    monkeypatch.setattr("methods.baselines.frozen_head.image_features", None)
    desk.learn(("b", "a"))  # both are known by now


def test_the_head_alone_is_kept_and_starts_as_no_head(desk: Desk) -> None:
    """With the identity it answers as a zero-shot dual encoder does."""
    (first, *_) = desk.units(("a", "b"))
    trained = state_in(desk.worker.compute(first, lambda _: {}))
    assert trained.keys() == {"weights/head"}
    trainer = desk.worker.trainer
    method, batch = trainer.method.eval(), trainer._task("b").batch(torch.arange(48))
    method.reset(0)
    assert torch.equal(method.head.detach(), torch.eye(method.backbone.width))
    if desk.backbone == "clip":
        assert torch.equal(method.predict(batch), method.backbone.predict(batch))


def test_loss_and_prediction_agree(desk: Desk) -> None:
    """In training and in evaluation the same features meet the same texts."""
    (first, *_) = desk.units(("a",))
    desk.worker.compute(first, lambda _: {})
    trainer = desk.worker.trainer
    method, batch = trainer.method, trainer._task("a").batch(torch.arange(30))
    answers = method.eval().predict(batch)
    given = Batch(batch.task, batch.pixels, answers, batch.ids, batch.questions)
    assert method.train().loss(given) <= method.loss(batch)
