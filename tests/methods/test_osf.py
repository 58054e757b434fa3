"""Properties of training in what the leading singular directions leave free."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods.testing.toy import BACKBONES
from tests.methods.opened import (
    about_to_learn,
    batch_of,
    bench_of,
    check_reset_gives_the_untouched_backbone,
    gradients,
    learn_a_little,
)

KEPT = 0.25


def weights(osf: object) -> dict[str, Tensor]:
    return {
        name: layer.get_base_layer().weight.detach().double().clone()
        for name, layer in osf.layers.items()  # type: ignore[attr-defined]
    }


def leading(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right singular vectors that must be kept, as columns."""
    left, _, right = torch.linalg.svd(weight, full_matrices=False)
    count = int(KEPT * min(weight.shape))
    return left[:, :count], right[:count].T


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_update_leaves_the_leading_directions_as_they_are(models: Path, backbone: str) -> None:
    """With plain gradient steps exactly, at either end of every weight."""
    osf, stage = about_to_learn(bench_of(models, backbone, "osf", kept=KEPT), "a", "b")
    before = weights(osf)
    for _ in range(3):
        learn_a_little(osf, stage, lr=0.3)
    osf.after_task(stage)
    moved = 0
    for name, after in weights(osf).items():
        update, (left, right) = after - before[name], leading(before[name])
        size = update.norm()
        moved += bool(size > 1e-4)
        assert (left.T @ update).norm() <= 1e-3 * size + 1e-5
        assert (update @ right).norm() <= 1e-3 * size + 1e-5
    assert moved > len(before) / 2


def test_gradients_move_what_is_free(models: Path) -> None:
    osf, stage = about_to_learn(bench_of(models, "clip", "osf", kept=KEPT), "a")
    assert all(part.any() for part in gradients(osf, osf(batch_of(stage))) if part.ndim == 2)
    trained = [weight for weight in osf.parameters() if weight.requires_grad]
    assert len(trained) == 3 * len(osf.layers)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_joining_the_weights_and_splitting_them_changes_no_answer(
    models: Path, backbone: str
) -> None:
    osf, stage = about_to_learn(bench_of(models, backbone, "osf"), "a", "b")

    @torch.no_grad()
    def answers() -> Tensor:
        osf.eval()
        logits: Tensor = osf.backbone.logits(batch_of(stage))
        osf.train()
        return logits

    untrained = answers()
    learn_a_little(osf, stage, lr=0.3)
    trained = answers()
    assert not torch.allclose(trained, untrained, atol=1e-3)
    osf.after_task(stage)
    torch.testing.assert_close(answers(), trained, rtol=1e-3, atol=1e-3)
    osf.before_task(stage)
    torch.testing.assert_close(answers(), trained, rtol=1e-3, atol=1e-3)


def test_every_task_splits_the_weights_that_it_finds(models: Path) -> None:
    osf, _ = about_to_learn(bench_of(models, "clip", "osf", kept=KEPT), "a", "b")
    for name, layer in osf.layers.items():
        low = layer.osf_svd_params["default"]
        weight = weights(osf)[name]
        minor = (low["U_low"] * low["S_low"]) @ low["V_low"]
        left, right = leading(weight)
        kept = left @ left.T @ weight @ right @ right.T
        torch.testing.assert_close(minor.double() + kept, weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_reset_gives_the_untouched_backbone(models: Path, backbone: str) -> None:
    bench = bench_of(models, backbone, "osf", lr=0.01)
    bench.learn(("a", "b"))
    check_reset_gives_the_untouched_backbone(bench)


def test_a_state_holds_each_weight_once(models: Path) -> None:
    osf, _ = about_to_learn(bench_of(models, "clip", "osf"), "a", "b")
    assert set(osf.state()) == {f"extra/merged/{name}" for name in osf.layers}
