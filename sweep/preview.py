"""Before and while a study runs: what it takes, and how far it is."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from rich.table import Table

from analysis import FIRST_LOOK, metrics
from sweep.busy import Busy
from sweep.errors import InputError
from sweep.forecast import Costs, Forecast, forecast, measure, recorded
from sweep.ledger import Ledger
from sweep.orders.balance import ranges, sentence
from sweep.outlook import Outlook, outlook, results_in
from sweep.output import Output, summary
from sweep.plan import Plan
from sweep.progress import duration, size
from sweep.store import Folder, Store
from sweep.study import Study
from sweep.until import Stop, whole


@dataclass(frozen=True)
class Preview:
    """A study's plan with its cost."""

    plan: Plan
    todo: set[str]
    costs: Costs
    lanes: int
    expected: Forecast
    outlook: Outlook
    stop: Stop | None
    """Why the study leaves out replicates; the plan is without them."""

    def _methods(self) -> list[dict[str, Any]]:
        plan = self.plan
        naive = {
            label: sum(len(run.order) for run in plan.runs if run.method == label)
            for label in plan.study.methods
        }
        rows = []
        for label in plan.study.methods:
            # Of trainings that methods share, those before have the time, all have the number.
            work = [u for u in plan.units.values() if u.method == label and u.key in self.todo]
            trainings = plan.trainings(label)
            stages = {key for run in plan.runs if run.method == label for key in run.stages}
            rows.append(
                {
                    "method": label,
                    "runs": sum(run.method == label for run in plan.runs),
                    "stages_naive": naive[label],
                    "trainings": len(trainings),
                    "shared": 1 - len(trainings) / naive[label] if trainings else 0.0,
                    "combinations": sum(plan.units[key].kind == "combine" for key in stages),
                    "trainings_to_do": len(trainings & self.todo),
                    "lane_seconds": sum(
                        self.costs[unit.backbone, label].seconds(plan, unit) for unit in work
                    ),
                }
            )
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Everything, for programs."""
        return summary(self.plan) | {
            "methods": self._methods(),
            "lanes": self.lanes,
            "units_to_do": self.expected.units,
            "seconds": round(self.expected.seconds, 1),
            "peak_state_bytes": self.expected.peak_state_bytes,
            "balance": self._balance(),
            "stopped": self.stop.reason if self.stop else "",
            "precision": self.outlook.as_dict(),
        }

    def _balance(self) -> dict[str, tuple[int, int]]:
        return ranges(self.plan.blocks, self.plan.study.benchmark.task_names())

    def balance(self) -> str:
        """How evenly the orders of a replicate treat the tasks."""
        return sentence(self._balance())

    def table(self) -> Table:
        """A row per method."""
        table = Table(title=self.plan.study.name, title_justify="left")
        table.add_column("method", no_wrap=True)
        shown: dict[str, tuple[str, Callable[[Any], str]]] = {
            "runs": ("runs", "{:,}".format),
            "stages": ("stages_naive", "{:,}".format),
            "trained": ("trainings", "{:,}".format),
            "shared": ("shared", "{:.0%}".format),
            "combined": ("combinations", "{:,}".format),
            "to train": ("trainings_to_do", "{:,}".format),
            "lane time": ("lane_seconds", duration),
        }
        rows = self._methods()
        if all(row["trainings_to_do"] == row["trainings"] for row in rows):
            del shown["to train"]
        for title in shown:
            table.add_column(title, justify="right")
        for row in rows:
            table.add_row(row["method"], *(show(row[key]) for key, show in shown.values()))
        return table

    def sentence(self) -> str:
        """The sum of it."""
        plan, facts = self.plan, summary(self.plan)
        naive, trained = facts["stages_naive"], facts["trainings_total"]
        return (
            f"{facts['orders']} orders in {len(plan.blocks)} replicates, {facts['runs']} runs: "
            f"{naive:,} stages, of which {trained:,} have to be trained "
            f"({1 - trained / max(1, naive):.0%} shared). On {self.lanes} lanes as fast as this "
            f"machine: about {duration(self.expected.seconds)}, at most "
            f"{size(self.expected.peak_state_bytes)} of states on disk.{self._until()}"
        )

    def _until(self) -> str:
        until = self.plan.study.until
        if self.stop:
            return f" It has {self.stop.reason}."
        if not until:
            return ""
        return (
            f" It stops before, after {FIRST_LOOK} replicates or more, once the half-width of "
            f"{until.contrast} is below {until.half_width:g}."
        )


def preview(study: Study, out: str | None = None) -> Preview:
    """Plan a study and measure what a stage costs on this machine. Writes nothing.

    Args:
        study: What would be run.
        out: Where; what is finished there counts as done, and its times are taken.

    Raises:
        InputError: the study cannot be run, or `out` holds another study.
    """
    everything = Plan(study)
    output = Output(out or f"runs/{study.name}", everything)
    output.check()
    study.check_data()
    plan, stop = _until_stop(everything, output.store)
    finished = output.store.finished()
    costs: Costs = recorded(plan, output.store)
    pairs = {(unit.backbone, unit.method) for unit in plan.units.values() if unit.kind == "train"}
    if not pairs <= set(costs):
        costs = measure(plan) | dict(costs)
    lanes = _lanes(study)
    spent = sum(
        costs[u.backbone, u.method].seconds(plan, u) for u in plan.units.values() if u.method
    )
    return Preview(
        plan=plan,
        todo=Ledger(plan, finished, lease=float("inf")).todo,
        costs=costs,
        lanes=lanes,
        expected=forecast(plan, finished, costs, lanes),
        outlook=outlook(study, output.folder, spent / plan.study.replicates),
        stop=stop,
    )


def _until_stop(plan: Plan, store: Store) -> tuple[Plan, Stop | None]:
    """The plan without the replicates that a study leaves out, as it has seen enough."""
    study = plan.study
    complete = whole(plan, store.finished(), study.replicates)
    results = results_in(store.folder) if study.until and complete else None
    if not study.until or not results:
        return plan, None
    stop = study.until.look(metrics(results), complete, study.replicates)
    if stop is None:
        return plan, None
    return Plan(study.model_copy(update={"replicates": stop.replicates}), plan.sources), stop


def _lanes(study: Study) -> int:
    lanes = study.lanes
    if isinstance(lanes.count, int):
        return lanes.count
    room = (os.cpu_count() or 1) / (max(1.0, lanes.cpus_per_worker) * lanes.workers)
    return max(1, int(room))


def status(out: str) -> str:
    """One sentence on how far the run in a folder is.

    Raises:
        InputError: the folder holds no run.
    """
    folder = Folder(out)
    if not folder.exists("study.yaml"):
        raise InputError(f"'{out}' holds no run (there is no study.yaml in it).")
    study = Study.from_dict(yaml.safe_load(folder.read("study.yaml")), f"{out}/study.yaml")
    plan, stop = _until_stop(Plan(study), Store(out))
    ledger = Ledger(plan, Store(out).finished(), lease=float("inf"))
    done, total = len(ledger.done), len(ledger.work.units)
    if not ledger.todo:
        why = f" ({stop.reason})" if stop else ""
        return f"{study.name}: all {total} stages are done{why}. Report: sweep report {out}"
    said = f"{study.name}: {done} of {total} stages are done"
    if other := Busy(folder).other():
        return f"{said}; {other[0]} is at work on the rest."
    source = "STUDY" if "://" in out else shlex.quote(f"{out.rstrip('/')}/study.yaml")
    return f"{said}. Go on with: sweep run {source} --out {shlex.quote(out)}"
