"""Properties of Mod-X."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.distillation.modx import off_diagonal_change
from methods.testing.toy import BACKBONES
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients, learn_a_little

LABELS = torch.tensor([0, 2, 0, 1, 2])
DIAGONAL = LABELS.unsqueeze(1) == LABELS
SEEDS = st.integers(0, 2**31)


def matrix(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((5, 5), generator=generator, dtype=torch.float64)


def right(seed: int) -> Tensor:
    """A matrix whose largest entry of every row is on the diagonal."""
    return matrix(seed) + DIAGONAL


@given(SEEDS)
def test_unchanged_similarities_are_the_minimum(seed: int) -> None:
    before = right(seed)
    now = before.clone().requires_grad_()
    change = off_diagonal_change(before, now, LABELS)
    change.backward()
    assert now.grad is not None
    assert abs(change.item()) < 1e-12
    assert now.grad.abs().max() < 1e-12
    assert off_diagonal_change(before, matrix(seed + 1), LABELS) > 1e-6


@given(SEEDS)
def test_only_wrong_entries_matter(seed: int) -> None:
    before, now = right(seed), matrix(seed + 1)
    change = off_diagonal_change(before, now, LABELS)
    other = now.masked_fill(DIAGONAL, 0) + 3 * matrix(seed + 2) * DIAGONAL
    torch.testing.assert_close(off_diagonal_change(before + DIAGONAL, other, LABELS), change)


@given(SEEDS)
def test_is_the_divergence_between_what_rows_say_of_wrong_texts(seed: int) -> None:
    before, now = right(seed), matrix(seed + 1)
    expected = 0.0
    for old, new, here in zip(before, now, DIAGONAL, strict=True):
        p, q = (row[~here].exp() / row[~here].exp().sum() for row in (old, new))
        expected += float((p * (p / q).log()).sum())
    assert float(off_diagonal_change(before, now, LABELS)) == pytest.approx(expected)


@given(SEEDS)
def test_rows_that_the_old_model_had_wrong_drop_out(seed: int) -> None:
    before = right(seed)
    before[3, 0] += 3
    now = matrix(seed + 1).requires_grad_()
    off_diagonal_change(before, now, LABELS).backward()
    assert now.grad is not None
    assert not now.grad[3].any()
    assert now.grad[[0, 1, 2, 4]].any(dim=1).all()


def test_batch_of_one_label_changes_nothing() -> None:
    now = matrix(1).requires_grad_()
    change = off_diagonal_change(matrix(0), now, torch.zeros(5, dtype=torch.int64))
    change.backward()
    assert now.grad is not None
    assert change.item() == 0
    assert not now.grad.any()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_starts_with_the_gradient_of_the_task_and_then_holds_back(
    models: Path, backbone: str
) -> None:
    modx, stage = about_to_learn(bench_of(models, backbone, "modx"), "a", "b")
    batch = batch_of(stage)
    loss, task = modx.loss(batch), modx.backbone.loss(batch).mean()
    torch.testing.assert_close(loss, task)
    for whole, alone in zip(gradients(modx, loss), gradients(modx, task), strict=True):
        torch.testing.assert_close(whole, alone, rtol=1e-3, atol=1e-4)
    learn_a_little(modx, stage)
    assert modx.loss(batch) > modx.backbone.loss(batch).mean()
