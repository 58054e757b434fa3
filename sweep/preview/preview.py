"""Shows the plan of a study: stages, sharing, time, disk, balance, precision."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from analysis import FIRST_LOOK
from sweep.measuring.checking import check_inputs
from sweep.measuring.measure import make_plan
from sweep.orders.balance import ranges, sentence
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Kept, Scheduler
from sweep.plan.units import Unit
from sweep.preview.cost import CostEstimate, Costs, estimate_cost, measure_costs, recorded
from sweep.preview.gpu_cost import GpuCost, gpu_cost, lanes_on
from sweep.preview.machine import free_disk
from sweep.preview.precision_forecast import PrecisionForecast, precision_forecast, results_in
from sweep.preview.prices import check_gpus
from sweep.storage.changes import Changed
from sweep.storage.folder import Folder
from sweep.storage.run_folder import RunFolder
from sweep.study.schema import Study
from sweep.study.stopping import Stop
from sweep.texts import duration, plural, size

LONGEST_NAME = 24
"""Characters of a method's name that stay on one line of a table."""


@dataclass(frozen=True)
class Preview:
    """A study's plan with its cost."""

    plan: Plan
    todo: set[str]
    """Keys of units that are still to be computed or evaluated."""
    to_compute: set[str]
    """Those that are not only evaluated."""
    changed: Changed | None
    """What has changed since stages were finished in the folder, if it matters to them."""
    costs: Costs
    lanes: int
    expected: CostEstimate
    precision_forecast: PrecisionForecast
    out: str
    """Folder or URI of the run."""
    stop: Stop | None
    """The early stop, if there was one; the plan is without the replicates that it leaves out."""
    gpu_cost: GpuCost | None = None
    """What the rest of it costs on a number of GPUs; None: that was not asked for."""

    def _methods(self) -> list[dict[str, Any]]:
        plan = self.plan
        rows = []
        for label in plan.study.methods:
            # The time of a shared training counts for the first method that needs it, its number
            # for each.
            work = [u for u in plan.units.values() if u.method == label and u.key in self.todo]
            trainings, unshared = plan.trainings(label), plan.trainings_unshared(label)
            stages = {key for run in plan.runs if run.method == label for key in run.stages}
            rows.append(
                {
                    "method": label,
                    "runs": sum(run.method == label for run in plan.runs),
                    "trainings": len(trainings),
                    "trainings_unshared": unshared,
                    "shared": 1 - len(trainings) / unshared if unshared else 0.0,
                    "combinations": sum(plan.units[key].kind == "combine" for key in stages),
                    "trainings_to_do": len(trainings & self.to_compute),
                    "lane_seconds": sum(map(self._seconds, work)),
                }
            )
        return rows

    def _seconds(self, unit: Unit) -> float:
        cost = self.costs[unit.backbone, unit.method]
        if unit.key in self.to_compute:
            return cost.seconds(self.plan, unit)
        return cost.seconds_per_evaluation

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for programs."""
        return self.plan.counts() | {
            "methods": self._methods(),
            "lanes": self.lanes,
            "units_to_do": self.expected.units,
            "seconds": round(self.expected.seconds, 1),
            "peak_state_bytes": self.expected.peak_state_bytes,
            "lane_seconds": round(self.expected.lane_seconds, 1),
            "gpu_cost": self.gpu_cost.as_dict() if self.gpu_cost else None,
            "room": self.room(),
            "balance": self._balance(),
            "stopped": self.stop.reason if self.stop else "",
            "changed": str(self.changed or ""),
            "precision": self.precision_forecast.as_dict(),
            "data": self.plan.data_sentences(),
        }

    def _balance(self) -> dict[str, tuple[int, int]]:
        return ranges(self.plan.blocks, self.plan.pinned.tasks)

    def balance(self) -> str:
        """Returns a sentence on how evenly the orders of a replicate treat the tasks."""
        return sentence(self._balance())

    def table(self) -> Table:
        """Returns a table with a row per method."""
        table = Table(title=self.plan.study.name, title_justify="left")
        # Where room is scarce, headings are broken before names are.
        is_short = max(map(len, self.plan.study.methods)) <= LONGEST_NAME
        table.add_column("method", overflow="fold", no_wrap=is_short)
        shown: dict[str, tuple[str, Callable[[Any], str]]] = {
            "runs": ("runs", "{:,}".format),
            "trained": ("trainings", "{:,}".format),
            "unshared": ("trainings_unshared", "{:,}".format),
            "saved": ("shared", "{:.0%}".format),
            "combined": ("combinations", "{:,}".format),
            "left": ("trainings_to_do", "{:,}".format),
            "lane time": ("lane_seconds", duration),
        }
        rows = self._methods()
        if all(row["trainings_to_do"] == row["trainings"] for row in rows):
            del shown["left"]
        for title in shown:
            table.add_column(title, justify="right", overflow="fold")
        for row in rows:
            table.add_row(row["method"], *(show(row[key]) for key, show in shown.values()))
        return table

    def sentence(self) -> str:
        """Returns a sentence with the totals."""
        plan, facts = self.plan, self.plan.counts()
        return (
            f"{plural(facts['orders'], 'order')} in {plural(len(plan.blocks), 'replicate')}, "
            f"{plural(facts['runs'], 'run')}, {plan.stages_sentence()}. On "
            f"{plural(self.lanes, 'lane')} as fast as this machine: about "
            f"{duration(self.expected.seconds)}, at most {size(self.expected.peak_state_bytes)} of "
            f"states on disk.{self._seeing()}{self._stopping()}"
        )

    def room(self) -> str:
        """Returns a warning if the states will not fit on the disk of the run folder; else ""."""
        needed = self.expected.peak_state_bytes
        if "://" in self.out or needed <= (free := free_disk(self.out)):
            return ""
        return (
            f"The disk is too small: states take up to {size(needed)} in {self.out}, where "
            f"{size(free)} are free. Make room there, or give another folder with --out."
        )

    def _seeing(self) -> str:
        seen = {name for (_, name), cost in self.costs.items() if cost.sees_features}
        methods = ", ".join(label for label in self.plan.study.methods if label in seen)
        return f" Features of images are computed once for {methods}." if methods else ""

    def _stopping(self) -> str:
        stopping = self.plan.study.stopping
        if self.stop:
            return f" It has {self.stop.reason}."
        if not stopping:
            return ""
        return (
            f" It may stop early, from replicate {FIRST_LOOK} on, once the half-width of "
            f"{stopping.contrast} is below {stopping.half_width:g}."
        )


def make_preview(
    study: Study | Plan,
    out: str | None = None,
    measured: Costs | None = None,
    gpus: int | None = None,
    price: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Preview:
    """Plans a study and measures what a stage costs on this machine. Writes nothing.

    Args:
        study: What would be run; or its plan, as `make_plan` returns it.
        out: Folder or URI of the run. Stages that are finished there count as done, and their
            times are used instead of new measurements.
        measured: Costs that were measured before; None: measures them if stages lack some.
        gpus: GPUs of the cluster that it would run on: says how many lanes there are, and what
            they cost. None: the lanes of this machine.
        price: Of one GPU-hour, in any currency.
        say: Called with what is measured next, which may take minutes on a large model.

    Raises:
        InputError: the study cannot be run, `out` holds another study, or the GPUs hold no lane.

    >>> from sweep import Study
    >>> shown = make_preview(Study.load("quickstart", ("methods=[zero_shot]",)), out="nowhere")
    >>> shown.expected.units, shown.sentence()
    (1, '24 orders in 3 replicates, 24 runs, 1 stage: 1 untouched. ...')
    """
    check_gpus(gpus, price)
    everything = study if isinstance(study, Plan) else make_plan(study)
    study = everything.study
    lanes = lanes_on(gpus, study.lanes, len(everything.runs)) if gpus else _lanes(study)
    run_folder = RunFolder(out or f"runs/{study.name}", everything)
    changed = run_folder.check(accepts_changes=True)
    check_inputs(everything)
    finished = run_folder.store.finished(everything.units)
    plan, stop = _without_left_out(everything, run_folder.store.folder, finished)
    scheduler = Scheduler(plan, finished, lease=float("inf"))
    costs: Costs = recorded(plan, run_folder.store, finished)
    made = ("load", "train")
    pairs = {(unit.backbone, unit.method) for unit in plan.units.values() if unit.kind in made}
    is_recorded = pairs <= set(costs)
    if not is_recorded:
        costs = dict(measure_costs(plan, say) if measured is None else measured) | dict(costs)
    expected = estimate_cost(plan, finished, costs, lanes)
    spent = sum(
        costs[u.backbone, u.method].seconds(plan, u) for u in plan.units.values() if u.method
    )
    return Preview(
        plan=plan,
        todo=scheduler.todo,
        to_compute=scheduler.to_compute,
        changed=changed,
        costs=costs,
        lanes=lanes,
        expected=expected,
        precision_forecast=precision_forecast(
            study, run_folder.folder, spent / plan.study.replicates
        ),
        out=out or f"runs/{study.name}",
        stop=stop,
        gpu_cost=gpu_cost(gpus, price, study.lanes, lanes, expected, is_recorded) if gpus else None,
    )


def _without_left_out(
    plan: Plan, folder: Folder, finished: Mapping[str, Kept]
) -> tuple[Plan, Stop | None]:
    """Returns the plan without the replicates that an early stop leaves out."""
    study = plan.study
    scored = [key for key, kept in finished.items() if kept.has_scores]
    complete = plan.complete_replicates(scored, study.replicates)
    results = results_in(folder) if study.stopping and complete else None
    if not study.stopping or not results:
        return plan, None
    stop = study.stopping.look(study.stopping.runs(results), complete, study.replicates)
    if stop is None:
        return plan, None
    return Plan(study.model_copy(update={"replicates": stop.replicates}), plan.pinned), stop


def _lanes(study: Study) -> int:
    lanes = study.lanes
    if isinstance(lanes.count, int):
        return lanes.count
    room = (os.cpu_count() or 1) / (max(1.0, lanes.cpus_per_worker) * lanes.workers)
    return max(1, int(room))
