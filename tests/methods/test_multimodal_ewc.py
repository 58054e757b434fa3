"""Properties of EWC by modality."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from methods.base import State
from methods.regularisation.multimodal_ewc import inconsistency
from methods.testing.toy import BACKBONES
from methods.testing.workbench import same, state_in
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients, learn_a_little
from tests.methods.test_penalty import agree

ORDER = ("a", "b")


def towers(method: Any) -> list[str]:
    return [method.backbone.tower(name) for name in method.protected()]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_tower_is_equally_important(models: Path, backbone: str) -> None:
    method, _ = about_to_learn(bench_of(models, backbone, "multimodal_ewc"), *ORDER)
    found = set(towers(method))
    assert found == ({"vision", "text"} if backbone == "clip" else {"text", "joint"})
    for tower in found:
        pairs = zip(method.importance, towers(method), strict=True)
        parts = [importance.flatten() for importance, of in pairs if of == tower]
        torch.testing.assert_close(torch.cat(parts).mean(), torch.tensor(1.0))


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_tower_that_is_switched_off_is_free(models: Path, tower: str) -> None:
    bench = bench_of(models, "clip", "multimodal_ewc", groups=[tower])
    method, stage = about_to_learn(bench, *ORDER)
    learn_a_little(method, stage)
    everything = [weight for weight in method.parameters() if weight.requires_grad]
    for weight in everything:
        weight.grad = torch.ones_like(weight)
    method.after_backward()
    pulled = {
        method.backbone.tower(name)
        for name, weight in method.named_parameters()
        if weight.grad is not None and (weight.grad != 1).any()
    }
    assert pulled == {tower}


def test_a_tower_that_is_frozen_needs_no_protection(models: Path) -> None:
    """A fusion backbone trains no vision tower."""
    options = {"groups": ["vision"], "consistency": 0.0}
    *_, last = bench_of(models, "llava", "multimodal_ewc", **options).learn(ORDER).values()
    *_, plain = bench_of(models, "llava", "finetune").learn(ORDER).values()
    assert same(state_in(last), state_in(plain))


@pytest.mark.parametrize("weights", ["drift", "gradient"])
def test_towers_are_held_as_they_drift_or_are_pulled(models: Path, weights: str) -> None:
    """The vision tower moved three times as far, and is pulled five times as hard."""
    method, _ = about_to_learn(bench_of(models, "clip", "multimodal_ewc", weights=weights), *ORDER)
    fixed, _ = about_to_learn(bench_of(models, "clip", "multimodal_ewc", weights="fixed"), *ORDER)
    for each in (method, fixed):
        with torch.no_grad():
            for weight, tower in zip(each.weights, towers(each), strict=True):
                weight += (0.03 if tower == "vision" else 0.01) * weight
                weight.grad = (5 if tower == "vision" else 1) * weight
    ratio = 3 if weights == "drift" else 5
    expected = {"vision": 2 * ratio / (1 + ratio), "text": 2 / (1 + ratio)}
    for ours, plain, tower in zip(method.pulls(), fixed.pulls(), towers(method), strict=True):
        torch.testing.assert_close(ours, expected[tower] * plain, rtol=0.03, atol=1e-6)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_consistency_sets_in_when_something_moved(models: Path, backbone: str) -> None:
    bench = bench_of(models, backbone, "multimodal_ewc", consistency=5.0, consistency_every=1)
    method, stage = about_to_learn(bench, *ORDER)

    def same_as_alone(step: int) -> bool:
        batch = batch_of(stage, step)
        task = cross_entropy(method.backbone.logits(batch), batch.labels)
        alone = [gradient.clone() for gradient in gradients(method, task)]
        return agree(gradients(method, method.loss(batch)), alone)

    assert same_as_alone(0)
    learn_a_little(method, stage)
    method.after_step()
    assert not same_as_alone(1)


def test_mixed_precision_loses_no_gradient(models: Path) -> None:
    """Casts of weights that the look at the earlier model made are of no use to the student."""
    bench = bench_of(models, "clip", "multimodal_ewc", consistency_every=1)
    method, stage = about_to_learn(bench, *ORDER)
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.loss(batch_of(stage))
    reached = gradients(method, loss)
    assert len(reached) == len(gradients(method, method.backbone.loss(batch_of(stage)).mean()))


def test_consistency_is_about_right_matches_only() -> None:
    """Right by row: the first. Right by column: the first two."""
    earlier = torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    now = torch.tensor([[0.0, 1.0, 0.5], [0.3, 0.0, 0.0]], requires_grad=True)
    inconsistency(earlier, now, torch.eye(2, 3, dtype=torch.bool), 2.0).backward()
    rows = ((now / 2).softmax(dim=1) - (earlier / 2).softmax(dim=1)) / 2
    columns = ((now / 2).softmax(dim=0) - (earlier / 2).softmax(dim=0)) / 3
    rows[1], columns[:, 2] = 0.0, 0.0
    torch.testing.assert_close(now.grad, (2 * (rows + columns)).detach())


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"strength": 0.0, "consistency": 0.0}, 0),
        ({"strength": 0.0, "consistency_every": 3}, 2),
        ({"consistency": 0.0, "fisher_batch": 16, "fisher_samples": 64}, 4 * len(ORDER)),
    ],
)
def test_what_is_switched_off_costs_nothing(
    models: Path, options: dict[str, Any], passes: int
) -> None:
    """Counts images' passes beyond those of fine-tuning: six steps a task, evaluation."""

    def learn(name: str, **options: Any) -> tuple[int, State]:
        bench = bench_of(models, "clip", name, **options)
        bench.learn(ORDER[:1])
        count: list[int] = []
        vision = bench.worker.trainer.backbone.get_submodule("model.vision_model")
        vision.register_forward_hook(lambda *_: count.append(1))
        *_, last = bench.learn(ORDER).values()
        return len(count), state_in(last)

    plain, weights = learn("finetune")
    count, state = learn("multimodal_ewc", **options)
    assert count - plain == passes
    assert same(state, weights) == (not passes)
