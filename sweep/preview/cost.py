"""Estimates what a study will cost: measures a few steps, then simulates the schedule."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from methods.base import State
from sweep.cache import CACHE
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Kept, Scheduler
from sweep.plan.units import Unit
from sweep.preview.simulation import simulate
from sweep.preview.thinned import num_pictures
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker
from sweep.storage.store import Record, Store
from sweep.study.schema import Study
from sweep.study.training import Training
from sweep.tasks.frozen_features import FrozenFeatures, features_of, sample_pixels

PROBES = (2, 10)
"""Steps of two timed stages: their difference is the cost of steps, the rest is fixed."""
_SEEN = 8
"""Images of which the time is taken that their features cost."""
LANE_START_SECONDS = 15.0
"""Seconds to start Ray and the first lane (five to seven processes that import torch)."""


@dataclass(frozen=True)
class Cost:
    """Cost of the units of one backbone with one method, on one lane."""

    seconds_per_step: float
    seconds_per_evaluation: float
    state_bytes: int
    seconds_per_combination: float = 0.0
    seconds_per_training: float = 0.0
    """Fixed cost besides the steps, such as importances of weights, or filling a buffer."""
    seconds_of_features: float | None = None
    """Of the features of all images, which are computed once and shared by all methods that do not
    change what reads images; None: this method does."""

    @property
    def sees_features(self) -> bool:
        """Whether the method is given features of images instead of pixels."""
        return self.seconds_of_features is not None

    def seconds(self, plan: Plan, unit: Unit) -> float:
        """Returns the expected time of a unit, in seconds."""
        evaluation = self.seconds_per_evaluation if unit.is_evaluated else 0.0
        if unit.kind == "combine":
            return self.seconds_per_combination + evaluation
        return self.seconds_per_training + plan.steps(unit) * self.seconds_per_step + evaluation


Costs = Mapping[tuple[str, str], Cost]
"""Costs by labels of backbone and method."""


@dataclass(frozen=True)
class CostEstimate:
    """Cost of the rest of a study."""

    units: int
    seconds: float
    """Wall time."""
    lane_seconds: float
    """Time of all lanes together, from the start of each: without the time in which some wait for
    others, or have nothing left to do."""
    peak_state_bytes: int
    """Largest disk space that all states take at any one time."""


def measure_costs(
    plan: Plan, say: Callable[[str], None] = lambda _: None
) -> dict[tuple[str, str], Cost]:
    """Times a few steps and one evaluation of every backbone with every method.

    The second task of an order is timed, so that the work that a method does about earlier tasks
    counts.

    Args:
        plan: What would be run.
        say: Called with what is timed next, and how much of it there is.
    """
    worker = timing_worker(plan)
    costs = {}
    pairs = [(backbone, name) for backbone in plan.study.backbones for name in plan.study.methods]
    for number, (backbone, method) in enumerate(pairs, 1):
        say(f"Timing stages of {method} on {backbone} ({number} of {len(pairs)})")
        cost = measure_cost(worker, plan, backbone, method)
        if cost.seconds_of_features:
            left = _left_to_see(worker) / num_pictures(worker.benchmark)
            cost = replace(cost, seconds_of_features=left * cost.seconds_of_features)
        costs[backbone, method] = cost
    return costs


def _left_to_see(worker: Worker) -> int:
    """Returns how many images have no features on this machine yet, which a method then lacks."""
    trainer, benchmark = worker.trainer, worker.benchmark
    seen = [trainer.images("train", task) for task in benchmark.tasks.values()]
    for tasks in (benchmark.tasks, benchmark.probes):
        seen += [trainer.images("test", task) for task in tasks.values()]
    return sum(images.missing for images in seen if isinstance(images, FrozenFeatures))


def timing_worker(plan: Plan, cache: Path = CACHE) -> Worker:
    """Returns a worker for `measure_cost`, with the plan's data in memory."""
    study = _shortened(plan.study, min(PROBES))
    return Worker(study, plan.pinned, join_lane(study), cache)


def _shortened(study: Study, steps: int) -> Study:
    training = study.training.model_dump() | {"steps": steps, "per_task": {}}
    return study.model_copy(update={"training": Training(**training)})


def measure_cost(worker: Worker, plan: Plan, backbone: str, method: str) -> Cost:
    """Returns what a stage of one backbone with one method costs, from a few steps."""
    kind = plan.study.methods[method].kind
    if kind.depends_on == "nothing":
        return Cost(0.0, 0.0, 0)
    tasks = plan.pinned.tasks[:2]
    loads = plan.loads(method)
    unit = Unit(
        key="",
        kind="load" if loads else "train",
        backbone=backbone,
        method=method,
        replicate=0,
        seed=0,
        prefix=tasks[:1],
        parents=(),
        evaluation="" if kind.combines_over else "timed",
    )
    states: dict[str, State] = {}

    def timed(name: str, unit: Unit) -> dict[str, float]:
        result = worker.compute(unit, states.__getitem__)
        if result.state is not None:
            states[name] = result.state
        return dict(result.record.seconds)

    timed("first", unit)
    if kind.depends_on == "task":
        second = replace(unit, prefix=tasks[-1:])
    else:
        second = replace(unit, prefix=tasks, parents=("first",))
    trained = []
    for steps in PROBES if not loads else ():
        worker.trainer.study = _shortened(plan.study, steps)
        seconds = timed("second", second)
        trained.append(seconds["train"])
    worker.trainer.study = worker.study
    if loads:
        trained = [timed("second", second)["load"]] * len(PROBES)
    if kind.combines_over:
        parents = ("first", "second")[-len(tasks) :]
        seconds = timed(
            "both",
            replace(unit, kind="combine", prefix=tasks, parents=parents, evaluation="timed"),
        )
    fixed, per_step = _line(PROBES, trained)
    return Cost(
        per_step / max(1, len(worker.trainer.method.tasks_trained_on(second.prefix))),
        seconds["evaluate"],
        sum(tensor.nbytes for tensor in states["first"].values()),
        seconds.get("combine", 0.0),
        fixed,
        seconds_of_features(worker),
    )


def seconds_of_features(worker: Worker) -> float | None:
    """Returns the seconds to see all images once; None where the method is given pixels."""
    if not worker.trainer.sees_features:
        return None
    backbone = worker.trainer.backbone
    pixels = sample_pixels(backbone, _SEEN)
    started = time.perf_counter()
    features_of(backbone, pixels)
    return (time.perf_counter() - started) / _SEEN * num_pictures(worker.benchmark)


def _line(steps: tuple[int, int], seconds: Sequence[float]) -> tuple[float, float]:
    """Returns fixed seconds and seconds per step; neither is negative, however noisy."""
    (few, many), (short, long) = steps, seconds
    per_step = min(max(0.0, (long - short) / (many - few)), long / many)
    return max(0.0, long - many * per_step), per_step


def recorded(plan: Plan, store: Store, finished: Mapping[str, Kept]) -> dict[tuple[str, str], Cost]:
    """Returns the mean costs of a run's finished stages, for the methods that have some."""
    found: dict[tuple[str, str], list[tuple[Unit, Record]]] = {}
    for key, kept in finished.items():
        unit = plan.units.get(key)
        if unit and unit.method and kept.has_scores:
            record = store.record(key, unit.evaluation)
            found.setdefault((unit.backbone, unit.method), []).append((unit, record))
    return {label: _mean_cost(plan, rows) for label, rows in found.items()}


def _mean_cost(plan: Plan, rows: Sequence[tuple[Unit, Record]]) -> Cost:
    steps = sum(plan.steps(unit) for unit, _ in rows)
    trained = [
        record.seconds["load" if unit.kind == "load" else "train"]
        for unit, record in rows
        if unit.kind in ("load", "train")
    ]
    evaluations = [record.seconds["evaluate"] for unit, record in rows if unit.is_evaluated]
    combinations = [record.seconds["combine"] for unit, record in rows if unit.kind == "combine"]
    return Cost(
        # These stages are as long as those to come, so their fixed cost may count as steps.
        sum(trained) / steps if steps else 0.0,
        _mean(evaluations),
        max(record.state_bytes for _, record in rows),
        _mean(combinations),
        0.0 if steps else _mean(trained),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def estimate_cost(
    plan: Plan, finished: Mapping[str, Kept], costs: Costs, lanes: int
) -> CostEstimate:
    """Simulates the rest of a study with the engine's own scheduler; trains nothing."""
    scheduler = Scheduler(plan, finished, lease=float("inf"))
    units = len(scheduler.todo)

    def state_bytes(unit: Unit) -> int:
        return costs[unit.backbone, unit.method].state_bytes

    found = simulate(scheduler, lanes, _seconds(plan, costs), state_bytes)
    if not units:
        return CostEstimate(0, 0.0, 0.0, found.peak_state_bytes)
    start = LANE_START_SECONDS + _seconds_to_see(costs) / lanes
    return CostEstimate(
        units,
        found.seconds + start,
        found.busy_seconds + lanes * start,
        found.peak_state_bytes,
    )


def _seconds_to_see(costs: Costs) -> float:
    """Returns the seconds that one process needs for the features of all images."""
    of_backbones: dict[str, float] = {}
    for (backbone, _), cost in costs.items():
        most = max(of_backbones.get(backbone, 0.0), cost.seconds_of_features or 0.0)
        of_backbones[backbone] = most
    return sum(of_backbones.values())


def _seconds(plan: Plan, costs: Costs) -> Callable[[Unit, bool], float]:
    """Returns a function for the time of a unit that may be trained already.

    A start unit takes as long as an evaluation.
    """
    evaluation = max((cost.seconds_per_evaluation for cost in costs.values()), default=0.0)

    def seconds(unit: Unit, is_trained: bool) -> float:
        if unit.kind == "start":
            return evaluation
        if is_trained:
            return costs[unit.backbone, unit.method].seconds_per_evaluation
        return costs[unit.backbone, unit.method].seconds(plan, unit)

    return seconds
