"""Properties of ZSCL."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench, same, states_in
from methods.tools.soft_targets import ReferenceDraws
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients

FREE = {"consolidation": 0.0, "every": 2}


@pytest.fixture(params=list(BACKBONES))
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    return bench_of(models, request.param, "zscl", **FREE)


def entropy(logits: Tensor) -> Tensor:
    """Mean over rows at temperature 2."""
    belief = (logits / 2).softmax(dim=1)
    return -(belief * belief.log()).sum(dim=1).mean()


def test_untouched_model_is_at_the_entropy_of_the_teacher(bench: Workbench) -> None:
    zscl, stage = about_to_learn(bench, "a")
    pool, drawn = stage.reference, ReferenceDraws(stage, None).draw()
    assert pool is not None
    texts = pool.text_embeddings[sorted({pool.captions.index(c) for c in pool.captions})]
    logits = zscl.backbone.similarity(pool.image_embeddings[drawn], texts).detach()
    loss = zscl.distance()
    torch.testing.assert_close(loss, 4 * (entropy(logits) + entropy(logits.T)))
    assert max(gradient.abs().max() for gradient in gradients(zscl, loss)) < 1e-3


def test_every_caption_counts_once(bench: Workbench) -> None:
    zscl, stage = about_to_learn(bench, "a")
    assert stage.reference is not None
    captions = stage.reference.captions
    assert len(zscl.texts) == len(set(captions)) < len(captions)


def counted(call: Callable[[Any], Tensor], name: str, calls: Counter[str]) -> Any:
    def count(argument: Any) -> Tensor:
        calls[name] += 1
        return call(argument)

    return count


def test_no_teacher_runs_in_training(models: Path) -> None:
    """A step embeds the task's and the reference images once, and no caption."""
    zscl, stage = about_to_learn(bench_of(models, "clip", "zscl"), "a", "b")
    calls: Counter[str] = Counter()
    for name in ("embed_images", "embed_texts"):
        vars(zscl.backbone)[name] = counted(getattr(zscl.backbone, name), name, calls)
    for step in range(3):
        zscl.loss(batch_of(stage, step))
    assert calls == {"embed_images": 2 * 3}


def test_text_tower_learns_from_the_task_alone(models: Path) -> None:
    zscl, _ = about_to_learn(bench_of(models, "clip", "zscl"), "a", "b")
    gradients(zscl, zscl.distance())
    towers = {
        zscl.backbone.tower(name)
        for name, weight in zscl.backbone.named_parameters()
        if weight.grad is not None
    }
    assert towers == {"vision"}


def test_consolidation_adds_the_gradient_of_its_penalty(models: Path) -> None:
    zscl, stage = about_to_learn(bench_of(models, "clip", "zscl", consolidation=0.3), "a", "b")
    starts = [weight.detach().clone() for weight, _ in zscl.anchors]
    with torch.no_grad():
        for weight, _ in zscl.anchors:
            weight += 0.01 * torch.randn_like(weight)
    loss = zscl.loss(batch_of(stage))
    for weight, start in zip((weight for weight, _ in zscl.anchors), starts, strict=True):
        loss = loss + 0.3 * (weight - start).square().sum()
    expected = [gradient.clone() for gradient in gradients(zscl, loss)]
    zscl.draws = ReferenceDraws(stage, None)
    actual = gradients(zscl, zscl.loss(batch_of(stage)))
    zscl.after_backward()
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


def test_is_a_weight_ensemble_without_distillation(models: Path) -> None:
    alone = bench_of(models, "clip", "weight_ensemble", every=2).learn(("a", "b"))
    whole = bench_of(models, "clip", "zscl", strength=0.0, **FREE).learn(("a", "b"))
    pairs = zip(states_in(whole).values(), states_in(alone).values(), strict=True)
    assert all(same(one, other) for one, other in pairs)
