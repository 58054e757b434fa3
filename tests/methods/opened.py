"""Methods in the middle of a run, to look at what they do in a step."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from methods import data
from methods.base import Method
from methods.data import Batch, Stage
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, state_in


def bench_of(models: Path, backbone: str, method: str, **options: Any) -> Workbench:
    """A bench for one method with these options and no others."""
    return Workbench(
        toy_study(
            models,
            {method: options},
            benchmark=BACKBONES[backbone],
            backbones={backbone: {"path": str(models / backbone)}},
        ),
        method,
    )


def about_to_learn(bench: Workbench, *prefix: str) -> tuple[Any, Stage]:
    """The method, with all tasks of `prefix` learnt but the last, and the stage of that one."""
    results = bench.learn(prefix)
    unit = bench.units(prefix)[-1]
    trainer = bench.worker.trainer
    method: Method = trainer.method
    if unit.parents:
        method.load_state(state_in(results[unit.parents[0]]))
    else:
        method.reset(0)
    stage = trainer._stage(unit)
    method.train()
    method.before_task(stage)
    return method, stage


def batch_of(stage: Stage, step: int = 0) -> Batch:
    """The task's batch of a step."""
    task, ids = stage.stream[step]
    return stage.tasks[task].batch(ids)


def asked(bench: Workbench, name: str) -> Batch:
    """The test samples of a task or of a held-out suite, after something was learnt."""
    trainer, benchmark = bench.worker.trainer, bench.worker.benchmark
    task = (benchmark.tasks | benchmark.probes)[name]
    ids = torch.arange(len(task.test))
    pixels = trainer.pixels("test", task)[task.test.shown]
    return data.batch_of(task, task.test, ids, pixels.to(trainer.accelerator.device))


def gradients(method: Method, loss: Tensor) -> list[Tensor]:
    """Of all weights that the loss depends on."""
    method.zero_grad()
    loss.backward()
    return [weight.grad for weight in method.parameters() if weight.grad is not None]


def learn_a_little(method: Method, stage: Stage, lr: float = 0.1) -> None:
    """Move the weights down the gradient of one step."""
    gradients(method, method(batch_of(stage)))
    for weight in method.parameters():
        if weight.grad is not None:
            weight.data -= lr * weight.grad
    method.zero_grad()


def check_reset_gives_the_untouched_backbone(bench: Workbench) -> None:
    (untouched,) = Workbench(bench.plan.study, bench.method).untouched.values()
    assert bench.worker.evaluator.evaluate()[0] != list(untouched.record.scores)
    bench.worker.trainer.method.reset(3)
    assert bench.worker.evaluator.evaluate()[0] == list(untouched.record.scores)


def check_reset_draws_from_the_seed(bench: Workbench, zero: str) -> None:
    """All weights but those named like `zero`, and torch's own generator is left alone."""
    method = bench.worker.trainer.method
    before = torch.random.get_rng_state()
    drawn = []
    for seed in (3, 3, 4):
        method.reset(seed)
        drawn.append(method.state())
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, tensor in drawn[0].items():
        assert torch.equal(tensor, drawn[1][name])
        assert torch.equal(tensor, drawn[2][name]) == (zero in name)
