"""Compares what `sweep plan --gpus 8 --price 2.5` says with what the finished study costs.

    python benchmarks/planned_cost.py                     # quickstart: minutes on a laptop
    python benchmarks/planned_cost.py --set replicates=1 --paced
    OMP_NUM_THREADS=1 python benchmarks/planned_cost.py --set replicates=1 --here

It plans the study before anything is trained, runs it on this machine's lanes, and then lets 8
lanes work through it once more on paper: every stage takes the seconds that its record says, and a
lane starts in the seconds that the first one took. That replay shares no code with the plan's own
simulation except for the scheduler. It prints GPU-hours and costs of both, and their ratio: all
GPUs paid for from start to end, and idle ones let go.

The seconds of a plan are measured by one process that has the machine to itself, those of the run
by as many lanes as there are cores, which take caches and memory from each other: compare on a
machine that nobody else uses. Two ways around that: with `--here` this process computes all stages
itself, one after the other, and its CPU seconds are what counts, for the plan as well; with
`--paced` the methods rest for a known time after every step, instead of those of the study.

quickstart with one replicate (130 stages), planned / finished, all paid for and idle ones let go:
`--here` 1.06 and 0.98 (one run; lane time without starts 0.97). On lanes of a quiet two-core
machine: 0.97 and 0.96; lane time without starts 1.06; the first lane started in 23 s. Where others
used both cores as well, it was anything from 0.52 to 0.95 (three runs; `--paced` 0.63 and 0.60).
"""

import argparse
import heapq
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep import Study, make_plan, make_preview, run
from sweep.engine.outcomes import Progress
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Scheduler
from sweep.preview.cost import LANE_START_SECONDS
from sweep.preview.gpu_cost import GpuCost
from sweep.storage.store import Store

GPUS, PRICE = 8, 2.5
PACED = {"quick": 0.05, "slow": 0.15}
"""Methods of `--paced`: seconds of rest after every step."""


@dataclass
class Lane:
    """A lane on paper."""

    number: int
    start: float
    """Seconds that it took to start."""
    loaded: tuple[str, str] | None = None
    held: tuple[str, ...] = ()
    key: str = ""
    """The unit that it works on."""
    busy: float = 0.0

    @property
    def name(self) -> str:
        """What the scheduler calls it."""
        return f"paper-{self.number}"


@dataclass(frozen=True)
class Replayed:
    """A study that lanes have worked through on paper."""

    seconds: float
    busy_seconds: float
    """Of all lanes, from the start of each, without the time in which they waited."""

    def gpu_hours(self, gpus: int) -> float:
        """If all are paid for from start to end."""
        return gpus * self.seconds / 3600

    @property
    def busy_gpu_hours(self) -> float:
        """Of lanes that take one GPU."""
        return self.busy_seconds / 3600


def replay(plan: Plan, spent: Mapping[str, float], starts: Sequence[float]) -> Replayed:
    """Lets lanes work through a study in which every unit takes a known time.

    Args:
        plan: The study.
        spent: Seconds by unit.
        starts: Seconds that each lane takes to start.
    """
    scheduler = Scheduler(plan, {}, lease=1e9)
    lanes = [Lane(i, start) for i, start in enumerate(starts)]
    events = [(lane.start, lane.number) for lane in lanes]
    heapq.heapify(events)
    idle: list[Lane] = []
    clock = 0.0
    while events:
        clock, number = heapq.heappop(events)
        lane = lanes[number]
        if lane.key:
            scheduler.finish(lane.key)
            lane.key = ""
        idle.append(lane)
        for free in tuple(idle):
            claimed = scheduler.claim_several(free.name, free.held, free.loaded, clock, most=1)
            if not claimed:
                continue
            idle.remove(free)
            unit = claimed[0].unit
            free.key, free.loaded = unit.key, (unit.backbone, unit.method)
            free.held = (*claimed[0].needed, unit.key)
            free.busy += spent[unit.key]
            heapq.heappush(events, (clock + spent[unit.key], free.number))
    assert scheduler.is_settled
    return Replayed(clock, sum(lane.start + lane.busy for lane in lanes))


def recorded_seconds(plan: Plan, out: str) -> dict[str, float]:
    """Returns the seconds of every unit of a finished study."""
    store = Store(out, plan.evaluations)
    store.finished(plan.units)
    return {
        key: sum(store.record(key, unit.evaluation).seconds.values())
        for key, unit in plan.units.items()
    }


def seconds_here(plan: Plan) -> dict[str, float]:
    """Computes every unit in this process; returns the seconds of each."""
    from sweep.stage.trainer import join_lane
    from sweep.stage.worker import Worker

    worker = Worker(plan.study, plan.pinned, join_lane(plan.study))
    states: dict[str, Any] = {}
    spent = {}
    # As a lane does, method by method, which saves loading the model again.
    for key, unit in sorted(plan.units.items(), key=lambda item: item[1].method):
        result = worker.compute(unit, states.__getitem__)
        states[key] = result.state
        spent[key] = sum(result.record.seconds.values())
    return spent


def compare(planned: GpuCost, replayed: Replayed) -> str:
    """Returns a table of both."""
    rows = [
        ("all paid for", planned.gpu_hours, replayed.gpu_hours(planned.gpus)),
        ("idle let go", planned.busy_gpu_hours, replayed.busy_gpu_hours),
    ]
    lines = [f"{'':>14} {'planned':>20} {'finished':>20} {'ratio':>7}"]
    for name, before, after in rows:
        costs = [f"{hours:.4f} h, {hours * PRICE:.4f}" for hours in (before, after)]
        lines.append(f"{name:>14} {costs[0]:>20} {costs[1]:>20} {before / after:7.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default="quickstart")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    changes = tuple(given.set)
    if given.paced:
        methods = ", ".join(
            f"{name}: {{method: 'benchmarks.paced:Paced', seconds: {seconds}}}"
            for name, seconds in PACED.items()
        )
        changes += (f"methods={{zero_shot: {{}}, {methods}}}",)
    plan = make_plan(Study.load(given.study, changes))
    if given.here:
        time.perf_counter = time.process_time  # by which plans and stages take times
    with tempfile.TemporaryDirectory() as folder:
        shown = make_preview(plan, f"{folder}/out", gpus=GPUS, price=PRICE)
        assert shown.gpu_cost
        print(shown.gpu_cost.sentence())
        if given.here:
            spent, start = seconds_here(plan), LANE_START_SECONDS
        else:
            spent, start = run_on_lanes(plan, f"{folder}/out")
    total = sum(spent.values())
    print(f"{len(spent)} stages, {total:.0f} s of lane time; a lane starts in {start:.0f} s")
    of_plan = sum(row["lane_seconds"] for row in shown.as_dict()["methods"])
    print(f"lane time without starts, planned / finished: {of_plan / total:.2f}")
    print(compare(shown.gpu_cost, replay(plan, spent, [start] * shown.gpu_cost.lanes)))


def run_on_lanes(plan: Plan, out: str) -> tuple[dict[str, float], float]:
    """Runs a study; returns the seconds of each unit, and those that its first lane started in."""
    begun, first = time.monotonic(), list[float]()

    def note(progress: Progress, lanes: int) -> None:
        if progress.working and not first:
            first.append(time.monotonic() - begun)

    finished = run(plan, out, on_progress=note)
    assert not finished.failed
    return recorded_seconds(plan, finished.out), first[0]


if __name__ == "__main__":
    main()
