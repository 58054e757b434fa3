"""Properties of adapters in subspaces of their own."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients, learn_a_little

RANK = 4


def learnt(models: Path, backbone: str = "clip", **options: Any) -> Workbench:
    """What is left of learning all tasks, in stages long enough to turn a subspace."""
    study = bench_of(models, backbone, "o_lora", rank=RANK, lr=None, **options).plan.study
    training = study.training.model_copy(update={"steps": 40, "batch_size": 8})
    bench = Workbench(study.model_copy(update={"training": training}), "o_lora")
    bench.learn(study.benchmark.task_names())
    return bench


def overlap(bench: Workbench) -> float:
    """Mean cosine between rows of A of different tasks, in magnitude, over all layers."""
    cosines: list[Tensor] = []
    for rows in bench.worker.trainer.method.earlier.values():
        tasks = torch.nn.functional.normalize(rows, dim=1).split(RANK)
        assert len(tasks) == len(bench.plan.study.benchmark.task_names())
        cosines += [(one @ other.T).abs().mean() for one, other in combinations(tasks, 2)]
    return float(torch.stack(cosines).mean())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_subspaces_become_orthogonal(models: Path, backbone: str) -> None:
    free = overlap(learnt(models, backbone, orthogonality=0.0))
    assert free > 0.1
    assert overlap(learnt(models, backbone, orthogonality=0.5)) < 0.2 * free


def test_loss_is_the_papers(models: Path) -> None:
    """Against loops over layers, tasks, rows and columns."""
    options = {"rank": RANK, "orthogonality": 0.3, "shrinkage": 0.02}
    o_lora, stage = about_to_learn(bench_of(models, "clip", "o_lora", **options), "a", "b", "c")
    learn_a_little(o_lora, stage)
    expected = o_lora.backbone.loss(batch_of(stage)).mean().item()
    for layer, (a, b) in o_lora.factors.items():
        assert len(o_lora.earlier[layer]) == 2 * RANK
        for row in o_lora.earlier[layer]:
            expected += sum(0.3 * abs(float(row @ own)) for own in a.detach())
        expected += 0.02 * sum(float(f.detach().square().sum().sqrt()) for f in (a, b))
    assert o_lora.loss(batch_of(stage)).item() == pytest.approx(expected, rel=1e-4)


def test_a_new_adapter_has_gradients_where_its_length_is_zero(models: Path) -> None:
    o_lora, stage = about_to_learn(bench_of(models, "clip", "o_lora", shrinkage=1.0), "a", "b")
    assert not any(b.any() for _, b in o_lora.factors.values())
    for gradient in gradients(o_lora, o_lora.loss(batch_of(stage))):
        assert gradient.isfinite().all()
