"""Properties of elastic weight consolidation, with all anchors and online."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.methods.opened import about_to_learn, bench_of, learn_a_little
from tests.methods.test_penalty import added, agree, penalty


def test_sum_form_is_the_sum_of_a_penalty_per_task(models: Path) -> None:
    bench = bench_of(models, "clip", "ewc")
    left, sums = [], []
    for prefix in (("a", "b"), ("a", "b", "c")):
        ewc, stage = about_to_learn(bench, *prefix)
        left.append([weight.detach().clone() for weight in ewc.weights])
        sums.append([tensor.clone() for tensor in ewc.information])
    first, both = sums
    second = [b - f for b, f in zip(both, first, strict=True)]
    learn_a_little(ewc, stage)
    separate = penalty(ewc, left[0], first) + penalty(ewc, left[1], second)
    expected = torch.autograd.grad(separate, ewc.weights)
    assert any(not torch.equal(a, b) for a, b in zip(*left, strict=True))
    assert agree(added(ewc), expected)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_online_importance_decays_before_the_next_joins(models: Path, decay: float) -> None:
    bench = bench_of(models, "clip", "online_ewc", decay=decay)
    online, stage = about_to_learn(bench, "a", "b")
    before = [tensor.clone() for tensor in online.importance]
    fresh = online.information(stage)
    online.after_task(stage)
    expected = [decay * old + new for old, new in zip(before, fresh, strict=True)]
    assert agree(online.importance, expected)


def test_both_agree_on_the_second_task(models: Path) -> None:
    def change(name: str) -> list[Tensor]:
        method, stage = about_to_learn(bench_of(models, "clip", name), "a", "b")
        learn_a_little(method, stage)
        return added(method)

    assert agree(change("ewc"), change("online_ewc"))
