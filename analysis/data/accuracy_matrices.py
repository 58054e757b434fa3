"""Results from bare accuracy matrices, such as published ones, and several results as one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.data.results import RESULTS_SCHEMA, Results

PLANNED = ["backbone", "method", "design", "block", "replicate", "order"]


def from_matrices(
    matrices: Sequence[ArrayLike],
    orders: Sequence[Sequence[str]],
    method: str = "unnamed",
    zero_shot: Mapping[str, float] | None = None,
    *,
    replicates: Sequence[int] | None = None,
    backbone: str = "unnamed",
) -> Results:
    """Returns the results that accuracy matrices of one method amount to.

    Args:
        matrices: one per run, [T, T] after tasks 1..T, or [T + 1, T] with the untouched backbone
            as row 0; columns in learning order. NaN = not measured. Fractions or percent, all
            alike; metrics come out in the same unit.
        orders: one per matrix, its tasks in learning order.
        method: the name they are filed under.
        zero_shot: the untouched backbone's score on every task, for matrices without row 0.
            Without either, metrics that need it are NaN.
        replicates: one per matrix; runs of one replicate share a seed and the stages of their
            common prefixes. By default every run is a replicate of its own, i.e. independent.
        backbone: the name they are filed under.

    Raises:
        ValueError: a matrix has another shape, holds no accuracies, or contradicts another one of
            its replicate about a prefix that both share.

    >>> from analysis import metrics
    >>> results = from_matrices([[[0.9, 0.2], [0.7, 0.8]]], [("cars", "pets")])
    >>> float(metrics(results)["average_accuracy"][0])
    0.75
    """
    numbers = range(len(matrices)) if replicates is None else replicates
    runs = [
        (int(replicate), tuple(order), _checked(matrix, tuple(order), zero_shot))
        for replicate, order, matrix in zip(numbers, orders, matrices, strict=True)
    ]
    _check_unit([R for *_, R in runs])
    rows = [
        {
            "study": "matrices",
            "backbone": backbone,
            "method": method,
            "replicate": replicate,
            "seed": replicate,
            "prefix": prefix,
            "stage": len(prefix),
            "trained_task": prefix[-1] if prefix else None,
            "split": "task",
            "eval_task": task,
            "metric": "accuracy",
            "value": value,
            "is_score": True,
            "status": "ok",
        }
        for (replicate, prefix, task), value in _scores(method, runs).items()
    ]
    planned = [
        (backbone, method, "given", replicate, replicate, order)
        for replicate, order in dict.fromkeys((replicate, order) for replicate, order, _ in runs)
    ]
    return Results(
        pd.DataFrame(rows, columns=RESULTS_SCHEMA.names), pd.DataFrame(planned, columns=PLANNED)
    )


def combine(studies: Mapping[str, Results]) -> Results:
    """Returns several studies as one, to compare their methods.

    Runs are paired across studies by backbone, replicate and order. A method that several studies
    hold is called "method (study)".

    Args:
        studies: results by the name of the study.

    Raises:
        ValueError: two studies score a task or a probe by different metrics.

    >>> from analysis import from_matrices, metrics
    >>> R, order = [[0.9, 0.2], [0.7, 0.8]], ('cars', 'pets')
    >>> one, other = (from_matrices([R], [order], name) for name in ("ewc", "lwf"))
    >>> metrics(combine({"first": one, "second": other}))[["method", "average_accuracy"]]
      method  average_accuracy
    0    ewc              0.75
    1    lwf              0.75
    """
    holders = pd.Series(
        [m for results in studies.values() for m in set(results.stages["method"])], dtype=object
    ).value_counts()
    several = set(holders.index[holders > 1])
    stages, planned, costs = [], [], []
    for name, results in studies.items():

        def renamed(frame: pd.DataFrame, name: str = name) -> pd.DataFrame:
            methods = {m: f"{m} ({name})" for m in several}
            return frame.assign(method=frame["method"].replace(methods))

        stages.append(renamed(results.stages))
        planned.append(renamed(results.runs[PLANNED]))
        costs.append(renamed(results.costs))
    _check_scores(studies)
    return Results(
        pd.concat(stages, ignore_index=True),
        pd.concat(planned, ignore_index=True),
        recorded=pd.concat(costs, ignore_index=True),
    )


def _check_scores(studies: Mapping[str, Results]) -> None:
    """Refuse studies that score a task or a probe by different metrics."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for study, results in studies.items():
        for (split, name), metric in results.scores.scored.items():
            other, known = first.setdefault((split, name), (study, metric))
            if known != metric:
                raise ValueError(
                    f"The score of {split} '{name}' is {known} in '{other}' and {metric} in "
                    f"'{study}', which cannot be compared; give both studies the same "
                    f"evaluation.score and run one of them again: nothing is trained again."
                )


def _scores(
    method: str, runs: Sequence[tuple[int, tuple[str, ...], np.ndarray]]
) -> dict[tuple[int, tuple[str, ...], str], float]:
    """Returns the accuracy of every (replicate, prefix, task) that was measured."""
    scores: dict[tuple[int, tuple[str, ...], str], float] = {}
    for replicate, order, R in runs:
        for k, row in enumerate(R):
            for task, value in zip(order, row, strict=True):
                if np.isnan(value):
                    continue
                if scores.setdefault((replicate, order[:k], task), value) != value:
                    raise ValueError(
                        f"Two matrices of {method} disagree about {task} after "
                        f"{'>'.join(order[:k]) or 'stage 0'}; give them different replicates."
                    )
    return scores


def _checked(
    given: ArrayLike, order: tuple[str, ...], zero_shot: Mapping[str, float] | None
) -> np.ndarray:
    """Returns R [T + 1, T], row 0 = NaN where unknown."""
    R, T = np.asarray(given, float), len(order)
    name = ">".join(order)
    if R.shape not in ((T, T), (T + 1, T)) or not np.isfinite(R).any():
        raise ValueError(
            f"The matrix of order {name} must have shape {(T, T)} or {(T + 1, T)}; "
            f"got shape {R.shape}."
        )
    if np.nanmin(R) < 0 or np.nanmax(R) > 100:
        raise ValueError(
            f"The matrix of order {name} must hold fractions or percent; "
            f"got values from {np.nanmin(R):g} to {np.nanmax(R):g}."
        )
    if len(R) == T + 1:
        return R
    absent = [task for task in order if zero_shot is not None and task not in zero_shot]
    if absent:
        raise ValueError(f"zero_shot lacks {', '.join(absent)}, which order {name} holds.")
    start = [zero_shot[task] if zero_shot is not None else np.nan for task in order]
    return np.vstack([start, R])


def _check_unit(matrices: Sequence[np.ndarray]) -> None:
    """Refuse matrices of which some hold fractions and some percent."""
    largest = [np.nanmax(part) for R in matrices for part in (R[:1], R[1:]) if (part >= 0).any()]
    if min(largest, default=0) <= 1 < max(largest, default=0):
        raise ValueError(
            "Some of the matrices (or zero_shot) hold fractions and some percent; "
            "give all of them in one unit."
        )
