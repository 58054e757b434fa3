"""Measures what is left to learn and to forget: scores before and after short trainings."""

from collections.abc import Mapping
from typing import Any

import torch

from methods.base import State
from methods.seeds import derive_seed
from sweep.cache import CACHE
from sweep.plan.units import Unit
from sweep.stage.samples import TestSamples
from sweep.stage.task_scores import TaskScores
from sweep.stage.trainer import Trainer, join_lane
from sweep.study.backbones import BackboneConfig, find_source
from sweep.study.schema import MethodEntry, Study

TRAINING: Mapping[str, Any] = {"steps": 40, "batch_size": 32, "lr": 5e-4, "warmup_steps": 5}
"""Few steps, of which much is learnt and forgotten: with twice the rate, joint training fails."""
COLUMNS = ("untouched", "alone", "all together", "one by one")
"""When scores are taken."""


def room(path: str, benchmark: Mapping[str, Any], seed: int = 0) -> dict[str, dict[str, float]]:
    """Returns scores of every task, before and after short trainings.

    Args:
        path: Folder of a backbone, or the name of an embedded one.
        benchmark: Section of a study.
        seed: Of the order of samples.

    Returns:
        By task its score "untouched", after learning it "alone", after learning "all together",
        and after learning all "one by one", in the benchmark's order.
    """
    source = find_source(BackboneConfig(path=path))
    found: dict[str, dict[str, float]] = {}
    for name in ("finetune", "joint"):
        study = short_study(path, benchmark, name)
        entry = MethodEntry.model_validate({"method": name})
        loaded = study.benchmark.load()
        trainer = Trainer(study, entry, source, loaded, join_lane(study), CACHE)
        tasks = tuple(loaded.tasks)
        if name == "joint":
            trainer.train(_unit(tasks, seed), None)
            _score(trainer, "all together", tasks, found)
            continue
        trainer.method.reset(derive_seed(seed, "initial"))
        _score(trainer, "untouched", tasks, found)
        for task in tasks:
            trainer.train(_unit((task,), seed), None)
            _score(trainer, "alone", (task,), found)
        state: State | None = None
        for learnt in range(1, len(tasks) + 1):
            state = trainer.train(_unit(tasks[:learnt], seed), state)
        _score(trainer, "one by one", tasks, found)
    return found


def short_study(path: str, benchmark: Mapping[str, Any], method: str) -> Study:
    """Returns a study of one method on one backbone, with a short training."""
    return Study.from_dict(
        {
            "name": "room",
            "benchmark": dict(benchmark),
            "backbones": [path],
            "methods": [method],
            "training": dict(TRAINING),
        }
    )


def _unit(prefix: tuple[str, ...], seed: int) -> Unit:
    return Unit(
        key="",
        kind="train",
        backbone="",
        method="",
        replicate=0,
        seed=seed,
        prefix=prefix,
        parents=(),
        evaluation="",
    )


@torch.no_grad()
def _score(
    trainer: Trainer, when: str, tasks: tuple[str, ...], into: dict[str, dict[str, float]]
) -> None:
    trainer.method.eval()
    measures = TaskScores(TestSamples(trainer))
    for name in tasks:
        task = trainer.benchmark.tasks[name]
        into.setdefault(name, {})[when] = measures.measure(task, task).metrics[task.score]
