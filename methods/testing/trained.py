"""A method that has learned the toy benchmark, in one process and in two workers: for the checks.

What is expensive is kept, so that all checks of a method on a backbone look at the same trainings.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from methods.base import Method, State
from methods.testing import two_workers
from methods.testing.tiny_models import tiny_models
from methods.testing.toy import BACKBONES, OTHER_KINDS, toy_study
from methods.testing.two_workers import Report
from methods.testing.workbench import Workbench, state_in
from sweep.orders.order import Order
from sweep.plan.units import Unit
from sweep.stage.rows import Scores
from sweep.stage.worker import Result
from sweep.study.schema import Study

LABEL = "checked"
"""Of the method in its study."""


@dataclass
class Trained:
    """A method that has learned all tasks of the toy benchmark, on one tiny backbone."""

    study: Study

    def new_bench(self) -> Workbench:
        """Returns a workbench that has done nothing yet."""
        return Workbench(self.study, LABEL)

    @property
    def kind(self) -> type[Method]:
        """The class of the method."""
        return self.study.methods[LABEL].kind

    @property
    def order(self) -> Order:
        """All tasks."""
        return self.study.benchmark.task_names()

    @property
    def turned_order(self) -> Order:
        """All tasks, the last one in its place, the others turned around."""
        return (*self.order[-2::-1], self.order[-1])

    @cached_property
    def bench(self) -> Workbench:
        """The workbench that all checks share."""
        return self.new_bench()

    @cached_property
    def results(self) -> dict[str, Result]:
        """Of all units of `order`, by key."""
        return self.bench.learn(self.order)

    @cached_property
    def turned(self) -> dict[str, Result]:
        """Of all units of `turned_order`, learned on the same bench afterwards."""
        assert self.results
        return self.bench.learn(self.turned_order)

    @property
    def method(self) -> Method:
        """The method on the bench, which has learned something."""
        assert self.results
        return self.bench.worker.trainer.method

    def compute(self, unit: Unit) -> Result:
        """Do a unit again."""
        return self.bench.worker.compute(unit, lambda key: state_in(self.results[key]))

    def combined(self, unit: Unit) -> tuple[Scores, list[State]]:
        """Returns the scores of a combination, and the weights with which it answers each task."""
        record, states = self.compute(unit).record, []
        for task in self.order:
            self.method.select(task)
            states.append(self.method.state())
        return list(record.scores), states


def study_of(method: str, options: Mapping[str, Any], backbone: str, **changes: Any) -> Study:
    """Returns a study of one method on a tiny backbone.

    Args:
        method: A shipped name, or package.module:Class.
        options: As in a study file.
        backbone: Of BACKBONES or OTHER_KINDS.
        changes: Sections of the study file to be put in the place of the toy's.
    """
    models = tiny_models()
    name, _, _ = backbone.partition("-")
    sections = {
        "benchmark": (BACKBONES | OTHER_KINDS)[backbone],
        "backbones": {name: {"path": str(models / name)}},
    }
    return toy_study(models, {LABEL: {"method": method, **options}}, **sections | changes)


def trained_on(method: str, options: Mapping[str, Any], backbone: str) -> Trained:
    """Returns the method on a tiny backbone; the last ones are kept."""
    return _trained(method, json.dumps(options, sort_keys=True), backbone)


def reports_of(
    method: str, options: Mapping[str, Any], backbone: str
) -> tuple[Report, Report, Report]:
    """Returns reports by two data-parallel workers, and by one process alone; kept once."""
    return _reports(method, json.dumps(options, sort_keys=True), backbone)


@lru_cache(maxsize=2)
def _trained(method: str, options: str, backbone: str) -> Trained:
    return Trained(study_of(method, json.loads(options), backbone))


@lru_cache(maxsize=1)
def _reports(method: str, options: str, backbone: str) -> tuple[Report, Report, Report]:
    tasks = (BACKBONES | OTHER_KINDS)[backbone] | {"num_tasks": 2}
    small = study_of(method, json.loads(options), backbone, benchmark=tasks)
    first, second = two_workers.pair().report(small, LABEL)
    return first, second, two_workers.report(small, LABEL)


@lru_cache
def untouched_on(backbone: str) -> dict[str, Result]:
    """Returns stage 0, which is the same for all methods."""
    return Workbench(study_of("zero_shot", {}, backbone), LABEL).untouched
