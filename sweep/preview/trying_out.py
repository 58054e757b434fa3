"""Tries a plan out on this machine: a few steps of every method, on a few samples of every task."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sweep.plan.plan import Plan
from sweep.preview.cost import Cost, measure_cost, timing_worker
from sweep.preview.machine import peak_memory, reset_peak_memory
from sweep.preview.thinned import num_tested, thinned
from sweep.stage.worker import Worker

SAMPLES = 128
"""Images of a split: enough to tell an accuracy from chance."""


@dataclass
class TriedOut:
    """What was seen while a plan was tried out; it lacks what failed."""

    costs: dict[tuple[str, str], Cost] = field(default_factory=dict)
    peaks: dict[tuple[str, str], int] = field(default_factory=dict)
    """Most memory that a process took, in bytes, by backbone and method."""
    weights: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """Bytes of all weights, and of those that are trained."""
    untouched: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    """Accuracy of the untouched backbones and on how many samples, by backbone and task."""


def try_out(plan: Plan, failed: Callable[[str], None]) -> TriedOut:
    """Evaluates every backbone, and trains every method for a few steps.

    Args:
        plan: What would be run.
        failed: Called with a sentence for each that fails.
    """
    tried = TriedOut()
    # Images of these few samples must not be taken for those of all.
    with tempfile.TemporaryDirectory() as cache:
        worker = timing_worker(plan, Path(cache))
        everything = num_tested(worker.benchmark)
        batch = max(SAMPLES, plan.study.evaluation.batch_size)
        worker.benchmark = thinned(worker.benchmark, SAMPLES, batch)
        share = everything / num_tested(worker.benchmark)
        for backbone in plan.study.backbones:
            steps: dict[str, Callable[[], None]] = {
                f"backbone '{backbone}'": partial(_evaluate, worker, plan, backbone, tried)
            }
            for method in plan.study.methods:
                steps[f"method '{method}' on backbone '{backbone}'"] = partial(
                    _train, worker, plan, (backbone, method), share, tried
                )
            for what, step in steps.items():
                try:
                    step()
                except Exception as error:  # a method's own code may raise anything
                    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                    failed(f"{what} fails: {kind}{error}")
    return tried


def _evaluate(worker: Worker, plan: Plan, backbone: str, tried: TriedOut) -> None:
    start = next(u for u in plan.units.values() if u.kind == "start" and u.backbone == backbone)
    for row in worker.compute(start, lambda key: {}).record.scores:
        if row["split"] == "task" and row["metric"] == "accuracy":
            tried.untouched[backbone, row["eval_task"]] = row["value"], row["n"]


def _train(
    worker: Worker, plan: Plan, pair: tuple[str, str], share: float, tried: TriedOut
) -> None:
    reset_peak_memory()
    cost = measure_cost(worker, plan, *pair)
    tried.costs[pair] = replace(cost, seconds_per_evaluation=cost.seconds_per_evaluation * share)
    if plan.study.methods[pair[1]].kind.depends_on == "nothing":
        return  # it does no more than evaluate
    if (peak := peak_memory()) is not None:
        tried.peaks[pair] = peak
    parameters = list(worker.trainer.method.parameters())
    tried.weights[pair] = (
        sum(p.nbytes for p in parameters),
        sum(p.nbytes for p in parameters if p.requires_grad),
    )
