"""Properties of memory aware synapses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods.data import Batch
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
        logits = mas.backbone.logits(few.data.batch(ids))
        rest = logits - logits.mean(dim=1, keepdim=True)
        length = (rest / logits.shape[1] ** 0.5).norm(dim=1).square().mean()
        for total, gradient in zip(
            expected, torch.autograd.grad(length, mas.weights, materialize_grads=True), strict=True
        ):
            total += gradient.abs() / (8 / group)
    mixed = [0.25 * old + 0.75 * new for old, new in zip(before, expected, strict=True)]
    assert agree(mas.importance, mixed)


@pytest.mark.parametrize("change", ["more of all", "every choice twice"])
def test_what_choices_share_and_their_number_do_not_count(
    models: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mas, stage = about_to_learn(bench_of(models, "clip", "mas"), "a")
    mas.after_task(stage)
    logits = mas.backbone.logits

    def changed(batch: Batch) -> Tensor:
        found = logits(batch)
        return found + found.sum() if change == "more of all" else found.repeat(1, 2)

    first = [importance.clone() for importance in mas.importance]
    mas.importance = []
    monkeypatch.setattr(mas.backbone, "logits", changed)
    mas.before_task(stage)
    mas.after_task(stage)
    one, other = (torch.cat([part.flatten() for part in each]) for each in (first, mas.importance))
    assert float((one - other).norm()) < 1e-3 * float(one.norm())
