"""Properties of joint training."""

from collections import Counter
from pathlib import Path

import torch

from tests.methods.conformance import Desk, same, state_in, study_of


def test_tasks_are_visited_equally_often_and_mixed(models: Path) -> None:
    desk = Desk(study_of(models, "clip"), "joint")
    unit = desk.units(("c", "a", "b"))[-1]
    desk.learn(("c", "a", "b"))
    visited: list[str] = []
    method = desk.worker.trainer.method
    method.register_forward_pre_hook(lambda _, batch: visited.append(batch[0].task.name))
    desk.worker.compute(unit, lambda _: {})
    assert Counter(visited) == {"a": 6, "b": 6, "c": 6}
    assert visited != sorted(visited)


def test_one_task_is_plain_finetuning(models: Path) -> None:
    one, other = (
        state_in(next(iter(Desk(study_of(models, "clip"), method).learn(("a", "b", "c")).values())))
        for method in ("joint", "finetune")
    )
    assert same(one, other)


def test_starts_from_the_untouched_backbone(models: Path) -> None:
    """Not from the set before it."""
    desk = Desk(study_of(models, "clip"), "joint")
    results = desk.learn(("a", "b", "c"))
    whole = desk.units(("a", "b", "c"))[-1]
    fresh = Desk(study_of(models, "clip"), "joint")
    again = state_in(fresh.worker.compute(whole, lambda _: {}))
    assert all(torch.equal(again[n], t) for n, t in state_in(results[whole.key]).items())
