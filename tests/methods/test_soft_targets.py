"""Properties of the distillation loss and of draws from the reference."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import kl_div

from methods.data import Stage
from methods.tools.soft_targets import ReferenceDraws, distillation, distillation_both_ways

SEEDS = st.integers(0, 2**31)
TEMPERATURES = st.sampled_from([0.5, 1.0, 2.0, 10.0])


def logits(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 5 * torch.randn(shape, generator=generator, dtype=torch.float64)


@given(SEEDS, TEMPERATURES)
def test_is_the_divergence_and_the_entropy_of_the_teacher(seed: int, temperature: float) -> None:
    teacher, student = logits(seed, 2, 4, 6)
    target = (teacher / temperature).softmax(dim=1)
    divergence = kl_div((student / temperature).log_softmax(dim=1), target, reduction="batchmean")
    entropy = -(target * target.log()).sum(dim=1).mean()
    torch.testing.assert_close(
        distillation(teacher, student, temperature), temperature**2 * (divergence + entropy)
    )


@given(SEEDS, TEMPERATURES)
def test_is_least_where_student_and_teacher_agree(seed: int, temperature: float) -> None:
    teacher, other = logits(seed, 2, 4, 6)
    student = teacher.clone().requires_grad_()
    least = distillation_both_ways(teacher, student, temperature)
    least.backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-12
    assert distillation_both_ways(teacher, other, temperature) > least


@given(SEEDS)
def test_gradients_are_as_large_at_every_high_temperature(seed: int) -> None:
    """What T^2 is for (Hinton et al., section 2.1)."""
    teacher, student = logits(seed, 2, 4, 6)
    norms = []
    for temperature in (1e3, 1e4):
        student = student.detach().requires_grad_()
        distillation(teacher, student, temperature).backward()
        assert student.grad is not None
        norms.append(student.grad.norm())
    torch.testing.assert_close(*norms, rtol=1e-2, atol=0)


@given(SEEDS)
def test_both_ways_treats_images_and_texts_alike(seed: int) -> None:
    teacher, student = logits(seed, 2, 4, 6)
    turned = distillation_both_ways(teacher.T, student.T, 2.0)
    torch.testing.assert_close(distillation_both_ways(teacher, student, 2.0), turned)


class Pool:
    captions = ("a", "b", "c", "d", "e")
    image_embeddings = text_embeddings = torch.eye(5)

    def pixels(self, ids: Tensor) -> Tensor:
        return ids


def stage(rank: int = 0, world_size: int = 1) -> Stage:
    return Stage(
        prefix=("a",),
        tasks={},
        batch_size=6,
        seed=3,
        replicate_seed=3,
        stream=[],
        reference=Pool(),
        rank=rank,
        world_size=world_size,
    )


@pytest.mark.parametrize("size", [None, 4])
def test_workers_share_the_draws_of_one(size: int | None) -> None:
    alone, *pair = (ReferenceDraws(stage(*where), size) for where in ((0, 1), (0, 2), (1, 2)))
    for _ in range(5):
        whole, parts = alone.draw(), [part.draw() for part in pair]
        assert len(whole) == (size or 6)
        assert torch.equal(whole.sort()[0], torch.cat(parts).sort()[0])
        assert len(parts[0]) == len(parts[1])


def test_every_pair_is_drawn_as_often_as_another() -> None:
    draws = ReferenceDraws(stage(), 5000)
    counts = torch.bincount(draws.draw(), minlength=5)
    assert (counts - 1000).abs().max() < 5 * (5000 * 0.2 * 0.8) ** 0.5


def test_workers_must_share_evenly() -> None:
    with pytest.raises(ValueError, match="reference_batch 5 is not a multiple of the 2 workers"):
        ReferenceDraws(stage(0, 2), 5)
