"""Properties of memory aware synapses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from methods.testing.toy import BACKBONES
from tests.methods.opened import about_to_learn, bench_of
from tests.methods.test_importance import Few
from tests.methods.test_penalty import agree


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_importance_is_how_the_length_of_the_logits_changes(
    models: Path, backbone: str, group: int
) -> None:
    """Mean over groups of the size of the mean gradient, then the mean with what was before."""
    bench = bench_of(models, backbone, "mas", importance_batch=group, alpha=0.25)
    mas, stage = about_to_learn(bench, "a", "b")
    few = Few(stage.tasks["b"], 8)
    before = [tensor.clone() for tensor in mas.importance]
    mas.after_task(replace(stage, tasks={"b": few}))
    expected = [torch.zeros_like(weight) for weight in mas.weights]
    for ids in torch.tensor(few.asked).split(group):
        length = mas.backbone.logits(few.data.batch(ids)).square().sum(dim=1).mean()
        for total, gradient in zip(
            expected, torch.autograd.grad(length, mas.weights, materialize_grads=True), strict=True
        ):
            total += gradient.abs() / (8 / group)
    mixed = [0.25 * old + 0.75 * new for old, new in zip(before, expected, strict=True)]
    assert agree(mas.importance, mixed)
