"""Which methods are told the task at test time: what they say, and what they do."""

from pathlib import Path
from typing import Any

import pytest
import torch

from methods.testing.looks import answers_by_name
from tests.methods.opened import bench_of

MOE = {"experts": {"count": 4}, "selector": {"width": 4, "steps": 200}, "lr": 0.03}
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "individual": ("individual", {}),
    "tall": ("tall", {"threshold": 0.6}),
    **{
        f"{name}, {task}": (name, options | {"task": task})
        for name, options in (
            *(("condu", {}), ("condu_once", {}), ("rail", {"width": 64}), ("moe_adapters", MOE)),
        )
        for task in ("known", "inferred")
    },
}


@pytest.mark.parametrize(("name", "options"), OPTIONS.values(), ids=OPTIONS)
def test_answers_depend_on_the_name_of_the_task_where_they_say_so(
    models: Path, name: str, options: dict[str, Any]
) -> None:
    bench = bench_of(models, "clip", name, **options)
    tasks = bench.plan.study.benchmark.task_names()
    bench.learn(tasks[:2])
    trainer = bench.worker.trainer
    differ = False
    for task in trainer.benchmark.tasks.values():
        first, *others = answers_by_name(trainer, task, tasks)
        differ |= any(not torch.equal(first, answers) for answers in others)
    told = name in ("individual", "tall") or options["task"] == "known"
    assert differ == trainer.knows_task == told
