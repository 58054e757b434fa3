"""Finds the stage of a run that is meant, from the run's folder alone."""

from collections import Counter
from dataclasses import dataclass

import yaml

from sweep.errors import InputError, unknown
from sweep.orders.order import Order
from sweep.plan.units import Run, Unit
from sweep.storage.folder import Folder
from sweep.storage.planned import read_plan
from sweep.storage.store import Record, Store
from sweep.study.schema import MethodEntry, Study


@dataclass(frozen=True)
class PlannedStage:
    """A finished stage of a run, as it was planned."""

    study: Study
    run: Run
    number: int
    """1 after the first task."""
    unit: Unit
    record: Record
    """What is known about it, with its scores."""
    untouched: Record | None
    """The same of stage 0; None if that is not finished."""
    store: Store

    @property
    def prefix(self) -> Order:
        """The tasks learnt so far, in order."""
        return self.run.order[: self.number]

    @property
    def method(self) -> MethodEntry:
        """The method with its options."""
        return self.study.methods[self.run.method]


def find_stage(
    out: str, method: str, order: Order, replicate: int, backbone: str | None, stage: int | None
) -> PlannedStage:
    """Returns a finished stage of a run.

    Args:
        out: Folder or URI of the run.
        method: Label of a method of the study.
        order: An order of the run, or how one begins.
        replicate: Number of the replicate.
        backbone: Label of a backbone of the study; None: the first.
        stage: Number of the stage; None: the one after the last task of `order`.

    Raises:
        InputError: there is no such run or stage, or it is not finished.
    """
    folder = Folder(out)
    _, graph = read_plan(folder)
    study = _study(folder)
    if method not in study.methods:
        raise unknown("method of this run", method, study.methods)
    backbone = backbone or next(iter(study.backbones))
    if backbone not in study.backbones:
        raise unknown("backbone of this run", backbone, study.backbones)
    replicates = sorted({run.replicate for run in graph.runs})
    if replicate not in replicates:
        raise InputError(
            f"replicate {replicate}: the run has replicates {replicates[0]} to {replicates[-1]}."
        )
    place = backbone, method, replicate
    runs = [run for run in graph.runs if (run.backbone, run.method, run.replicate) == place]
    run = _with_order(runs, order)
    number = len(order) if stage is None else stage
    if not 1 <= number <= len(order):
        raise InputError(
            f"stage {number}: '{' > '.join(order)}' has stages 1 to {len(order)}; stage 0 is the "
            "untouched backbone."
        )
    unit = graph.units[run.stages[number]]
    store = Store(out, graph.evaluations)
    record = _record(store, unit)
    if record is None:
        raise InputError(
            f"stage {number} of '{' > '.join(run.order)}' of method '{method}' is not finished in "
            f"'{folder.uri}'; `sweep run` goes on with it."
        )
    untouched = _record(store, graph.units[run.stages[0]])
    return PlannedStage(study, run, number, unit, record, untouched, store)


def _study(folder: Folder) -> Study:
    if not folder.exists("study.yaml"):
        raise InputError(f"'{folder.uri}' holds no study (there is no study.yaml in it).")
    content = yaml.safe_load(folder.read("study.yaml"))
    return Study.from_dict(content, f"{folder.uri}/study.yaml")


def _with_order(runs: list[Run], order: Order) -> Run:
    """Returns the run whose order begins with `order`.

    Raises:
        InputError: there is none.
    """
    if not order:
        raise InputError("--order names no task.")
    tasks = dict.fromkeys(task for run in runs for task in run.order)
    for task, count in Counter(order).items():
        if task not in tasks:
            raise unknown("task in the order", task, tasks)
        if count > 1:
            raise InputError(f"--order names task '{task}' {count} times; allowed: once.")
    for run in runs:
        if run.order[: len(order)] == order:
            return run
    planned = dict.fromkeys(" > ".join(run.order) for run in runs)
    raise unknown("order of this run", " > ".join(order), planned, "how one of these begins")


def _record(store: Store, unit: Unit) -> Record | None:
    try:
        return store.record(unit.key, unit.evaluation)
    except FileNotFoundError:
        return None
