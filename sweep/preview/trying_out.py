"""Tries a plan out on this machine: a few steps of every method, on a few samples of every task."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from methods.data import Task
from sweep.plan.plan import Plan
from sweep.preview.cost import Cost, measure_cost, timing_worker
from sweep.preview.machine import peak_memory, reset_peak_memory
from sweep.preview.thinned import num_pictures, num_tested, thinned
from sweep.stage.task_scores import relevant
from sweep.stage.worker import Worker

SAMPLES = 128
"""Samples of a split: enough to tell a score from chance."""


@dataclass(frozen=True)
class Untouched:
    """What an untouched backbone knows of a task, on a few test samples."""

    score: float
    metric: str
    n: int
    chance: float | None
    """The score of guessing; None: nobody writes an answer by chance."""


@dataclass
class TriedOut:
    """What was seen while a plan was tried out; it lacks what failed."""

    costs: dict[tuple[str, str], Cost] = field(default_factory=dict)
    peaks: dict[tuple[str, str], int] = field(default_factory=dict)
    """Most memory that a process took, in bytes, by backbone and method."""
    weights: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """Bytes of all weights, and of those that are trained."""
    untouched: dict[tuple[str, str], Untouched] = field(default_factory=dict)
    """Scores of the untouched backbones, by backbone and task."""


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
        pictures = num_pictures(worker.benchmark)
        batch = max(SAMPLES, plan.study.evaluation.batch_size)
        worker.benchmark = thinned(worker.benchmark, SAMPLES, batch)
        shares = (
            everything / num_tested(worker.benchmark),
            pictures / num_pictures(worker.benchmark),
        )
        for backbone in plan.study.backbones:
            steps: dict[str, Callable[[], None]] = {
                f"backbone '{backbone}'": partial(_evaluate, worker, plan, backbone, tried)
            }
            for method in plan.study.methods:
                steps[f"method '{method}' on backbone '{backbone}'"] = partial(
                    _train, worker, plan, (backbone, method), shares, tried
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
    rows = worker.compute(start, lambda key: {}).record.scores
    metrics = plan.study.evaluation.scores_in(rows)
    for row in rows:
        name = row["eval_task"]
        if row["split"] == "task" and row["metric"] == metrics["task", name]:
            chance = chance_of(worker.benchmark.tasks[name], row["metric"])
            tried.untouched[backbone, name] = Untouched(
                row["value"], row["metric"], row["n"], chance
            )


def chance_of(task: Task, metric: str) -> float | None:
    """Returns the score that guessing has on a task; None where nothing can be guessed.

    >>> import numpy as np
    >>> from methods.data import Split
    >>> split = Split.of_captions(np.zeros((4, 8, 8, 3), np.uint8), [["a"], ["b"], ["c"], ["d"]])
    >>> chance_of(Task("said", (), ("{}",), "", split, split, "pairs", "recall"), "recall")
    0.25
    """
    if task.kind == "answers":
        return None
    if task.kind == "pairs":
        right = float(relevant(task.test).float().mean())
        guesses = metric.rpartition("_r")[2]
        return 1 - (1 - right) ** (int(guesses) if guesses.isdecimal() else 1)
    if task.test.texts is None:
        return 1 / len(task.choices)
    return sum(1 / len(own) for own in task.test.texts) / len(task.test)


def _train(
    worker: Worker,
    plan: Plan,
    pair: tuple[str, str],
    shares: tuple[float, float],
    tried: TriedOut,
) -> None:
    reset_peak_memory()
    cost = measure_cost(worker, plan, *pair)
    of_tests, of_pictures = shares
    seeing = cost.seconds_of_features
    tried.costs[pair] = replace(
        cost,
        seconds_per_evaluation=cost.seconds_per_evaluation * of_tests,
        seconds_of_features=None if seeing is None else seeing * of_pictures,
    )
    if plan.study.methods[pair[1]].kind.depends_on == "nothing":
        return  # it does no more than evaluate
    if (peak := peak_memory()) is not None:
        tried.peaks[pair] = peak
    parameters = list(worker.trainer.method.parameters())
    tried.weights[pair] = (
        sum(p.nbytes for p in parameters),
        sum(p.nbytes for p in parameters if p.requires_grad),
    )
