"""Measures for whose task a method takes the samples of every task and held-out suite.

Methods that keep something for each task, and are not told of which task a sample is, choose for
themselves: by autoencoders (moe_adapters), by densities (diki, dpw), by keys (dualprompt), by
prototypes (condu with inferred tasks). What they choose decides what they answer, yet accuracy
hardly says it: a stranger that is taken for a known task is as often right by chance.

A row says how much of the answers to the samples of a task or suite came from what belongs to a
task learnt, as a mean over samples; the untouched backbone has the rest.
"""

from typing import ClassVar

import torch
from accelerate.utils import gather_object

from methods.data import Task
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import Scores, score

SPLIT = "routing"
DECIMALS = 6


class Routing(Diagnostic):
    """Measures the share of each task learnt in the answers to samples of all tasks and suites."""

    needs_routing: ClassVar[bool] = True

    def of_model(self) -> Scores:
        """Returns the shares; nothing of methods that have no parts of tasks to choose from."""
        benchmark = self.samples.trainer.benchmark
        everything = [*benchmark.tasks.values(), *benchmark.probes.values()]
        return [row for task in everything for row in self._of(task)]

    def _of(self, task: Task) -> Scores:
        mine = [
            (batch.ids, {name: part.cpu() for name, part in self.method.routing(batch).items()})
            for batch in self.samples.batches(task)
        ]
        found: dict[str, torch.Tensor] = {}
        for ids, shares in gather_object(mine):
            for name, part in shares.items():
                found.setdefault(name, torch.zeros(len(task.test), dtype=torch.float64))
                found[name][ids] = part.double()
        return [
            score(SPLIT, task.name, name, round(float(shares.mean()), DECIMALS), len(task.test))
            for name, shares in found.items()
        ]
