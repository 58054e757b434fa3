"""Properties of learning without forgetting."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods.distillation.lwf import LwF
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from methods.tools.soft_targets import distillation_both_ways
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients, learn_a_little

KEPT = {"strength": 0.7, "temperature": 3.0}


@pytest.fixture(params=list(BACKBONES))
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    return bench_of(models, request.param, "lwf", **KEPT)


def test_starts_at_the_entropy_of_the_teacher_with_the_gradient_of_the_task(
    bench: Workbench,
) -> None:
    lwf, stage = about_to_learn(bench, "a", "b")
    batch = batch_of(stage)
    loss, task = lwf.loss(batch), lwf.backbone.loss(batch).mean()
    answers = lwf.backbone.logits(batch).detach()
    torch.testing.assert_close(loss, task + 0.7 * distillation_both_ways(answers, answers, 3.0))
    for whole, alone in zip(gradients(lwf, loss), gradients(lwf, task), strict=True):
        torch.testing.assert_close(whole, alone, rtol=1e-3, atol=1e-4)


def test_grows_as_answers_change(bench: Workbench) -> None:
    lwf, stage = about_to_learn(bench, "a", "b")
    batch = batch_of(stage)

    @torch.no_grad()
    def kept() -> Tensor:
        return lwf.loss(batch) - lwf.backbone.loss(batch).mean()

    start = kept()
    learn_a_little(lwf, stage)
    assert kept() > start


def test_teacher_is_the_model_at_the_start_of_the_task(bench: Workbench) -> None:
    lwf, stage = about_to_learn(bench, "a", "b")
    batch, teacher = batch_of(stage), lwf.teacher.backbone
    start = lwf.backbone.logits(batch).detach()
    learn_a_little(lwf, stage)
    assert not torch.allclose(lwf.backbone.logits(batch), start, atol=1e-4)
    torch.testing.assert_close(teacher.logits(batch), start, rtol=1e-4, atol=1e-4)


def test_teacher_reads_its_prompts_once_in_a_stage(models: Path) -> None:
    lwf, stage = about_to_learn(bench_of(models, "clip", "lwf"), "a")
    assert isinstance(lwf, LwF)
    read = []
    text_model = lwf.teacher.backbone.get_submodule("model.text_model")
    text_model.register_forward_hook(lambda *_: read.append(1))
    for step in range(3):
        lwf.loss(batch_of(stage, step))
    assert not read
    lwf.after_task(stage)
    lwf.before_task(stage)
    assert len(read) == 1
