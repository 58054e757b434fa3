"""What methods with a quadratic penalty have in common."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.testing import MethodChecks
from methods.testing.toy import BACKBONES
from methods.testing.workbench import same, state_in
from tests.methods.opened import about_to_learn, bench_of, learn_a_little
from tests.methods.shipped import OPTIONS

METHODS = ("ewc", "online_ewc", "si", "mas", "multimodal_ewc", "l2_sp")
ORDER = ("a", "b")


def penalty(method: Any, anchors: list[Tensor], importance: list[Tensor]) -> Tensor:
    """lambda / 2 sum F (theta - theta*)^2."""
    parts = zip(method.weights, anchors, importance, strict=True)
    return method.config.strength / 2 * sum(((w - a).square() * f).sum() for w, a, f in parts)


def added(method: Any) -> list[Tensor]:
    """What the method adds to small gradients."""
    for weight in method.weights:
        weight.grad = torch.full_like(weight, 1e-4)
    method.after_backward()
    return [weight.grad - 1e-4 for weight in method.weights]


def agree(some: Iterable[Tensor], others: Iterable[Tensor]) -> bool:
    """Whether two sets of tensors are the same but for rounding, and not zero."""
    one, other = (torch.cat([tensor.flatten() for tensor in each]) for each in (some, others))
    return bool((one - other).norm() < 1e-3 * other.norm())


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", METHODS)
def test_adds_the_gradient_of_the_penalty(models: Path, backbone: str, name: str) -> None:
    options = {"weights": "fixed"} if name == "multimodal_ewc" else {}
    method, stage = about_to_learn(bench_of(models, backbone, name, **options), *ORDER)
    anchors = [weight.detach().clone() for weight in method.weights]
    extra = list(method.extra_state().values())[: len(anchors)]
    importance = extra or [torch.ones_like(weight) for weight in anchors]
    learn_a_little(method, stage)
    expected = torch.autograd.grad(penalty(method, anchors, importance), method.weights)
    assert agree(added(method), expected)


@pytest.mark.parametrize("name", METHODS)
def test_pulls_nowhere_where_the_task_started(models: Path, name: str) -> None:
    method, _ = about_to_learn(bench_of(models, "clip", name), *ORDER)
    assert not any(change.any() for change in added(method))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "l2_sp"])
def test_first_task_is_plain_finetuning(models: Path, name: str) -> None:
    first, plain = (
        state_in(next(iter(bench_of(models, "clip", method).learn(ORDER).values())))
        for method in (name, "finetune")
    )
    assert same({key: first[key] for key in first if key.startswith("weights/")}, plain)


@pytest.mark.parametrize("name", METHODS)
def test_protects_the_factors_of_an_adapter(models: Path, name: str, tmp_path: Path) -> None:
    options = OPTIONS.get(name, {}) | {"lora": {"rank": 2}}
    adapted = {"method": name, "options": options}
    type("Checks", (MethodChecks,), adapted)().test_resume_is_exact("clip", tmp_path)
    *_, result = bench_of(models, "clip", name, **options).learn(ORDER).values()
    assert all(".lora_" in key for key in state_in(result))
