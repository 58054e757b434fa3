"""Properties of joint training."""

from collections import Counter
from pathlib import Path

import torch

from methods.testing.workbench import Workbench, same, state_in
from tests.methods.shipped import study_of


def test_tasks_are_visited_equally_often_and_mixed(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "joint")
    unit = bench.units(("c", "a", "b"))[-1]
    bench.learn(("c", "a", "b"))
    visited: list[str] = []
    method = bench.worker.trainer.method
    method.register_forward_pre_hook(lambda _, batch: visited.append(batch[0].task.name))
    bench.worker.compute(unit, lambda _: {})
    assert Counter(visited) == {"a": 6, "b": 6, "c": 6}
    assert visited != sorted(visited)


def test_one_task_is_plain_finetuning(models: Path) -> None:
    one, other = (
        state_in(
            next(iter(Workbench(study_of(models, "clip"), method).learn(("a", "b", "c")).values()))
        )
        for method in ("joint", "finetune")
    )
    assert same(one, other)


def test_starts_from_the_untouched_backbone(models: Path) -> None:
    """Not from the set before it."""
    bench = Workbench(study_of(models, "clip"), "joint")
    results = bench.learn(("a", "b", "c"))
    whole = bench.units(("a", "b", "c"))[-1]
    fresh = Workbench(study_of(models, "clip"), "joint")
    again = state_in(fresh.worker.compute(whole, lambda _: {}))
    assert all(torch.equal(again[n], t) for n, t in state_in(results[whole.key]).items())
