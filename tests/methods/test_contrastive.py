"""Properties of fine-tuning with a contrastive loss."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from methods.testing.toy import BACKBONES
from methods.tools.contrast import contrastive_loss
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients

SEEDS = st.integers(0, 2**31)


def logits(seed: int, size: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 5 * torch.randn((size, size), generator=generator)


@given(SEEDS)
def test_pairs_of_different_labels_have_the_loss_of_clip(seed: int) -> None:
    fit = logits(seed)
    expected = image_text_contrastive_loss(fit)
    torch.testing.assert_close(contrastive_loss(fit, torch.arange(6)) / 2, expected)


@given(SEEDS)
def test_equal_labels_share_what_is_right(seed: int) -> None:
    fit, labels = logits(seed, 4), torch.tensor([1, 0, 1, 2])
    rows, columns = fit.log_softmax(dim=1), fit.log_softmax(dim=0)
    right = [[0, 2], [1], [0, 2], [3]]
    expected = -sum((rows[i, js].mean() + columns[js, i].mean()) / 8 for i, js in enumerate(right))
    torch.testing.assert_close(contrastive_loss(fit, labels) / 2, torch.as_tensor(expected))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_strength_is_the_weight_of_the_contrastive_gradient(models: Path, backbone: str) -> None:
    found = {}
    for strength in (0.0, 1.0, 3.0):
        bench = bench_of(models, backbone, "contrastive", strength=strength)
        method, stage = about_to_learn(bench, "a")
        batch = batch_of(stage)
        found[strength] = gradients(method, method.loss(batch))
        if not strength:
            task = gradients(method, method.backbone.loss(batch).mean())
            torch.testing.assert_close(found[strength], task)
    added = [one - none for one, none in zip(found[1.0], found[0.0], strict=True)]
    assert any(step.abs().max() > 1e-4 for step in added)
    for three, one, step in zip(found[3.0], found[1.0], added, strict=True):
        torch.testing.assert_close(three, one + 2 * step, rtol=1e-3, atol=1e-4)
