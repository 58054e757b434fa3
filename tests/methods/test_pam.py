"""Properties of alignment by sign while training, and of what is averaged after it."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import AdamW

from methods.adapters.pam import PAM, keep_largest, nearest_factors
from methods.data import Stage
from methods.testing.toy import BACKBONES
from sweep.errors import InputError
from tests.methods.opened import about_to_learn, bench_of, learn_a_little

SEEDS = st.integers(0, 2**31)
SHARES = st.floats(0, 1)
LORA = {"lora": {"rank": 4}}
ALL_WEIGHTS = {"lora": None}


def normal(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


@given(SEEDS, SHARES)
def test_the_largest_entries_of_every_tensor_stay(seed: int, share: float) -> None:
    tensors = normal(seed, (3, 5), (7,), (2, 2, 2))
    for tensor, kept in zip(tensors, keep_largest(tensors, share, "tensor"), strict=True):
        chosen = kept != 0
        assert chosen.sum() == round(share * tensor.numel())
        assert torch.equal(kept[chosen], tensor[chosen])
        if chosen.any() and not chosen.all():
            assert tensor[chosen].abs().min() >= tensor[~chosen].abs().max()


@given(SEEDS, SHARES)
def test_of_all_together_the_largest_stay(seed: int, share: float) -> None:
    tensors = normal(seed, (3, 5), (7,))
    whole = torch.cat([tensor.flatten() for tensor in tensors])
    kept = keep_largest(tensors, share, "all")
    assert [part.shape for part in kept] == [tensor.shape for tensor in tensors]
    (expected,) = keep_largest([whole], share, "tensor")
    assert torch.equal(torch.cat([part.flatten() for part in kept]), expected)


@given(SEEDS, st.sampled_from([(6, 5, 3), (3, 8, 2), (4, 4, 6)]))
def test_nearest_factors_are_the_truncated_singular_values(
    seed: int, shape: tuple[int, int, int]
) -> None:
    rows, columns, rank = shape
    left, right = (tensor.double() for tensor in normal(seed, (rows, 6), (6, columns)))
    b, a = nearest_factors(left, right, rank)
    assert (b.shape, a.shape) == ((rows, rank), (rank, columns))
    u, values, v = torch.linalg.svd(left @ right, full_matrices=False)
    torch.testing.assert_close(b @ a, u[:, :rank] * values[:rank] @ v[:rank])
    torch.testing.assert_close(b.T @ b, a @ a.T)


def in_the_second_task(
    models: Path, backbone: str = "clip", **options: Any
) -> tuple[PAM, Stage, dict[str, Tensor]]:
    """PAM far from where the second task began, its stage, and the weights before it."""
    pam, stage = about_to_learn(bench_of(models, backbone, "pam", **options), "a", "b")
    pam.on_optimizer_created(AdamW(pam.weights.values()))
    before = copies(pam)
    for i, weight in enumerate(pam.weights.values()):
        (noise,) = normal(i, tuple(weight.shape))
        weight.data += noise * weight.std()
    return pam, stage, before


def copies(pam: PAM) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in pam.weights.items()}


def opposed(pam: PAM, before: dict[str, Tensor]) -> dict[str, Tensor]:
    """Which of the largest half of every global tensor's entries have the other sign now."""
    found = {}
    for name, weight in pam.weights.items():
        goal = before[name] - pam.zeros[name]
        edge = goal.abs().flatten().sort(descending=True)[0][round(goal.numel() / 2) - 1]
        now = weight.detach() - pam.zeros[name]
        found[name] = (goal.abs() >= edge) & (goal.sign() * now.sign() < 0)
    return found


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("weights", [LORA, ALL_WEIGHTS])
@pytest.mark.parametrize("goal", ["zero", "global"])
def test_alignment_ends_all_contradictions_and_changes_nothing_else(
    models: Path, backbone: str, weights: dict[str, Any], goal: Literal["zero", "global"]
) -> None:
    pam, _, before = in_the_second_task(models, backbone, reset_to=goal, **weights)
    trained, wrong = copies(pam), opposed(pam, before)
    assert sum(int(mask.sum()) for mask in wrong.values()) > 100
    pam.align()
    assert not any(mask.any() for mask in opposed(pam, before).values())
    for name, weight in pam.weights.items():
        goals = before[name] if goal == "global" else torch.zeros_like(weight) + pam.zeros[name]
        assert torch.equal(weight, torch.where(wrong[name], goals, trained[name]))


def test_zero_is_the_untouched_backbone_where_all_weights_are_trained(models: Path) -> None:
    bench = bench_of(models, "clip", "pam", lora=None, top=1.0)
    pam, _ = about_to_learn(bench, "a", "b")
    pam.on_optimizer_created(AdamW(pam.weights.values()))
    learnt = copies(pam)
    pam.reset(0)
    untouched = copies(pam)
    for name, weight in pam.weights.items():
        weight.data.copy_(2 * untouched[name] - learnt[name])
    pam.align()
    # What is its own mirror image up to rounding was hardly moved by the first task.
    torch.testing.assert_close(copies(pam), untouched, rtol=0, atol=1e-6)
    assert any(not torch.equal(learnt[name], untouched[name]) for name in learnt)


@pytest.mark.parametrize(("every", "times"), [(1, 6), (2, 3), (4, 1), (7, 0)])
def test_aligns_every_kth_step_from_the_second_task_on(
    models: Path, every: int, times: int
) -> None:
    bench, calls = bench_of(models, "clip", "pam", every=every, **LORA), list[int]()
    pam, _ = about_to_learn(bench, "a")
    vars(pam)["align"] = lambda: calls.append(pam.steps)
    bench.learn(("a", "b"))
    assert calls == [every * i for i in range(1, times + 1)]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 0.5), (0.2, 0.2), ("mean", 0.5)])
def test_without_entries_to_align_it_is_plain_averaging(
    models: Path, share: Any, expected: float
) -> None:
    pam, stage, before = in_the_second_task(models, top=0.0, share=share, **LORA)
    trained = copies(pam)
    pam.align()
    pam.after_task(stage)
    for name, weight in pam.weights.items():
        torch.testing.assert_close(weight, before[name].lerp(trained[name], expected))


def test_mean_weighs_all_tasks_the_same(models: Path) -> None:
    pam, stage = about_to_learn(bench_of(models, "clip", "pam", share="mean", **LORA), *"abc")
    before = copies(pam)
    learn_a_little(pam, stage)
    trained = copies(pam)
    pam.after_task(stage)
    for name, weight in pam.weights.items():
        torch.testing.assert_close(weight, before[name] * 2 / 3 + trained[name] / 3)


def updates(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """B A of every layer."""
    return {
        name: tensors[name.replace("lora_A", "lora_B")] @ tensor
        for name, tensor in tensors.items()
        if "lora_A" in name
    }


def test_updates_are_averaged_as_well_as_the_rank_allows(models: Path) -> None:
    """With the full rank, 32, exactly."""
    pam, stage, before = in_the_second_task(models, merge_in="delta", lora={"rank": 32})
    trained = copies(pam)
    pam.after_task(stage)
    old, new, merged = updates(before), updates(trained), updates(copies(pam))
    for name in merged:
        torch.testing.assert_close(merged[name], (old[name] + new[name]) / 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize("clear", [True, False])
def test_momentum_is_forgotten_exactly_where_entries_were_reset(models: Path, clear: bool) -> None:
    pam, stage, before = in_the_second_task(models, clear_momentum=clear, **LORA)
    learn_a_little(pam, stage, lr=0.0)
    pam(stage.tasks["b"].batch(stage.stream[0][1])).backward()
    pam.optimizer.step()
    wrong = opposed(pam, before)
    moments = {name: pam.optimizer.state[w]["exp_avg"].clone() for name, w in pam.weights.items()}
    pam.align()
    for name, weight in pam.weights.items():
        expected = moments[name].masked_fill(wrong[name] & clear, 0)
        assert torch.equal(pam.optimizer.state[weight]["exp_avg"], expected)
    assert any((moments[name] * mask).any() for name, mask in wrong.items())


def test_the_first_task_can_be_averaged_too(models: Path) -> None:
    left = {}
    for first in ("kept", "merged"):
        bench = bench_of(models, "clip", "pam", first_task=first, top=0.0, **LORA)
        bench.learn(("a",))
        left[first] = copies(bench.worker.trainer.method)
    for name, tensor in left["merged"].items():
        if "lora_B" in name:  # was zero before
            torch.testing.assert_close(tensor, left["kept"][name] / 2)


def test_updates_cannot_be_averaged_without_an_adapter(models: Path) -> None:
    with pytest.raises(InputError, match="merge_in"):
        bench_of(models, "clip", "pam", lora=None, merge_in="delta")
