"""Properties of selective distillation from two teachers."""

import math
from pathlib import Path

import pytest
import torch

from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from methods.tools.soft_targets import ReferenceDraws
from tests.methods.opened import about_to_learn, bench_of, gradients, learn_a_little


@pytest.fixture(params=list(BACKBONES))
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    return bench_of(models, request.param, "dual_teacher")


def test_weights_follow_the_distance_of_the_teachers(models: Path) -> None:
    method, _ = about_to_learn(bench_of(models, "clip", "dual_teacher"), "a")
    angles = torch.tensor([0.0, 2 * math.asin(0.1), math.pi / 3, math.pi])
    pretrained = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    previous = torch.stack([angles.cos(), angles.sin()], dim=1)
    expected = [1 / (1 + math.exp(-6 * (distance - 0.2))) for distance in (0, 0.2, 1, 2)]
    torch.testing.assert_close(method.weight(pretrained, previous), torch.tensor(expected))


def test_teachers_are_the_same_before_the_first_task(bench: Workbench) -> None:
    method, stage = about_to_learn(bench, "a")
    pool, ids = stage.reference, ReferenceDraws(stage, None).draw()
    assert pool is not None
    previous = method.teacher.backbone.embed_images(pool.pixels(ids))
    torch.testing.assert_close(previous, pool.image_embeddings[ids])
    weight = method.weight(pool.image_embeddings[ids], previous)
    torch.testing.assert_close(weight, torch.full_like(weight, 1 / (1 + math.exp(1.2))))
    loss = method.distance()
    assert loss < 1e-9
    assert max(gradient.abs().max() for gradient in gradients(method, loss)) < 1e-4


@pytest.mark.parametrize("moved", [False, True])
def test_loss_is_the_weighted_distance_to_both(bench: Workbench, moved: bool) -> None:
    method, stage = about_to_learn(bench, "a", "b")
    if moved:
        learn_a_little(method, stage)
        method.draws = ReferenceDraws(stage, None)
    pool, ids = stage.reference, ReferenceDraws(stage, None).draw()
    assert pool is not None
    now = method.backbone.embed_images(pool.pixels(ids)).detach()
    expected = []
    for image, f in zip(ids.tolist(), now, strict=True):
        first = pool.image_embeddings[image]
        last = method.teacher.backbone.embed_images(pool.pixels(torch.tensor([image])))[0]
        weight = 1 / (1 + math.exp(-6 * (float((first - last).norm()) - 0.2)))
        near = 9 * weight * float((f - last).square().sum())
        expected.append(near + 0.5 * (1 - weight) * float((f - first).square().sum()))
    assert min(expected) > 0
    assert method.distance().item() == pytest.approx(sum(expected) / len(expected), rel=1e-3)
