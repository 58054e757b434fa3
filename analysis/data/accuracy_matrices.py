"""Results from bare accuracy matrices, such as published ones, and several results as one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.data.given_units import in_fractions, looks_transposed, without_filler
from analysis.data.results import RESULTS_SCHEMA, RUN, STAGE, Results, once
from analysis.data.shared_methods import names_of_methods, origins_of

PLANNED = ["backbone", "method", "design", "block", "replicate", "order"]
UNNAMED = "unnamed"
"""A method or backbone whose name nobody has said."""
MOST_NAMED = 3
"""Cells, runs or names that a sentence lists before it only counts."""


@dataclass(frozen=True)
class MatrixRun:
    """Holds the accuracy matrix of one run, as it was given."""

    method: str
    order: tuple[str, ...]
    R: np.ndarray
    """[T + 1, T], row 0 = the untouched backbone, columns in learning order; NaN = not measured."""
    replicate: int | None = None
    """None: a replicate of its own."""
    backbone: str = UNNAMED
    unit: str = "auto"
    """As in `in_fractions`."""

    @property
    def name(self) -> str:
        """Returns what errors and notes call it."""
        number = "" if self.replicate is None else f", replicate {self.replicate}"
        return f"{self.method}{number}, order {'>'.join(self.order)}"


def from_matrices(
    matrices: Sequence[ArrayLike],
    orders: Sequence[Sequence[str]],
    method: str = UNNAMED,
    zero_shot: Mapping[str, float] | None = None,
    *,
    replicates: Sequence[int] | None = None,
    backbone: str = UNNAMED,
    unit: str = "auto",
) -> Results:
    """Returns the results that accuracy matrices of one method amount to.

    Args:
        matrices: one per run, [T, T] after tasks 1..T, or [T + 1, T] with the untouched backbone
            as row 0; columns in learning order. NaN = not measured, and so are the zeros of a
            matrix that has nothing but zeros on tasks not learnt yet (`without_filler`).
        orders: one per matrix, its tasks in learning order.
        method: the name they are filed under.
        zero_shot: the untouched backbone's score on every task, for matrices without row 0.
            Without either, metrics that need it are NaN.
        replicates: one per matrix; runs of one replicate share a seed and the stages of their
            common prefixes. By default every run is a replicate of its own, i.e. independent.
        backbone: the name they are filed under.
        unit: "fraction", "percent", or "auto": what the values look like (`in_fractions`). Results
            hold fractions, whatever was given, and `Results.unit` says what that was.

    Raises:
        ValueError: a matrix has another shape, holds no accuracies, seems to be transposed, mixes
            fractions and percent, or contradicts another one of its replicate about a prefix that
            both share.

    >>> from analysis import metrics
    >>> results = from_matrices([[[90, 20], [70, 80]]], [("cars", "pets")])
    >>> float(metrics(results)["average_accuracy"][0]), results.unit
    (0.75, 'percent')
    """
    numbers: Iterable[int | None] = [None] * len(matrices) if replicates is None else replicates
    runs = [
        MatrixRun(
            method,
            tuple(map(str, order)),
            _with_start(matrix, tuple(map(str, order)), zero_shot),
            None if number is None else int(number),
            backbone,
            unit,
        )
        for number, order, matrix in zip(numbers, orders, matrices, strict=True)
    ]
    return results_of(runs)


def results_of(runs: Sequence[MatrixRun], notes: Sequence[str] = ()) -> Results:
    """Returns runs of any methods as results, and says in their notes what was done to them.

    Raises:
        ValueError: see `from_matrices`.
    """
    numbered, units, said = [], {}, list(notes)
    for (backbone, method), group in groupby(
        sorted(runs, key=lambda run: (run.backbone, run.method)),
        key=lambda run: (run.backbone, run.method),
    ):
        mine, unit, more = _of_one_method(list(group))
        numbered += mine
        units[backbone, method] = unit
        said += more
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
        for (backbone, method, replicate, prefix, task), value in _scores(numbered).items()
    ]
    planned = dict.fromkeys(
        (run.backbone, run.method, "given", run.replicate, run.replicate, run.order)
        for run in numbered
    )
    percent = [method for (_, method), unit in units.items() if unit != "fraction"]
    if percent:
        of = "" if len(percent) == len(units) else f" of {_listed(percent)}"
        said.append(f"Accuracies{of} were given in percent and are held as fractions.")
    return Results(
        pd.DataFrame(rows, columns=RESULTS_SCHEMA.names),
        pd.DataFrame(list(planned), columns=PLANNED),
        unit=_one_unit(units.values()),
        notes=tuple(dict.fromkeys(said)),
    )


def combine(studies: Mapping[str, Results]) -> Results:
    """Returns several studies as one, to compare their methods.

    Runs are paired across studies by backbone, replicate and order. A method that several studies
    hold is called "method (study)", unless they agree about it: then it is one method.

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
    names = names_of_methods(studies)
    stages, planned, costs = [], [], []
    for name, results in studies.items():

        def renamed(frame: pd.DataFrame, name: str = name) -> pd.DataFrame:
            return frame.assign(method=frame["method"].replace(names[name]))

        stages.append(renamed(results.stages))
        planned.append(renamed(results.runs[PLANNED]))
        costs.append(renamed(results.costs))
    _check_scores(studies)
    return Results(
        once(pd.concat(stages, ignore_index=True)),
        pd.concat(planned).drop_duplicates(RUN, ignore_index=True),
        recorded=pd.concat(costs).drop_duplicates(STAGE, ignore_index=True),
        origins=origins_of(names),
        unit=_one_unit(results.unit for results in studies.values()),
        notes=tuple(f"{name}: {note}" for name, found in studies.items() for note in found.notes),
        every={
            names[name][method]: found.every_of(method)
            for name, found in studies.items()
            for method in found.stages["method"].unique()
        },
        bounds=frozenset(
            names[name][method] for name, found in studies.items() for method in found.references
        ),
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


def _one_unit(units: Iterable[str]) -> str:
    """Returns the unit of all, or "mixed"."""
    found = set(units)
    return found.pop() if len(found) == 1 else "mixed" if found else "fraction"


def _of_one_method(runs: Sequence[MatrixRun]) -> tuple[list[MatrixRun], str, list[str]]:
    """Returns the runs of one method as numbered fractions, their unit, and what to say of them."""
    free = (n for n in count() if n not in {run.replicate for run in runs})
    runs = [replace(run, replicate=next(free)) if run.replicate is None else run for run in runs]
    for run in runs:
        if looks_transposed(run.R):
            raise ValueError(
                f"The matrix of {run.name} holds nothing but zeros below its diagonal, as if its "
                f"rows were tasks; rows must be stages: transpose it."
            )
    said = []
    filled = [without_filler(run.R) for run in runs]
    changed = sum(R is not run.R for R, run in zip(filled, runs, strict=True))
    method = runs[0].method
    if changed:
        said.append(
            f"Zeros of {method} on tasks not learnt yet are read as not measured ({changed} of "
            f"{len(runs)} runs), so nothing is said about tasks before they are learnt."
        )
    found, units = dict[int, MatrixRun](), set()
    for unit in dict.fromkeys(run.unit for run in runs):  # as files say; "auto" where they do not
        places = [i for i, run in enumerate(runs) if run.unit == unit]
        names = [runs[i].name for i in places]
        fractions, given = in_fractions(names, [filled[i] for i in places], unit)
        units.add(given)
        found |= {i: replace(runs[i], R=R) for i, R in zip(places, fractions, strict=True)}
    runs = [found[i] for i in range(len(runs))]
    return runs, _one_unit(units), [*said, *_gaps(runs)]


def _gaps(runs: Iterable[MatrixRun]) -> list[str]:
    """Returns what to say of runs that lack accuracies on tasks learnt so far."""
    said = []
    for run in runs:
        stages, tasks = np.nonzero(np.isnan(run.R[1:]) & np.tri(len(run.order), dtype=bool))
        cells = [
            f"{run.order[i]} after stage {k + 1} ({run.order[k]})"
            for k, i in zip(stages, tasks, strict=True)
        ]
        if cells:
            said.append(
                f"Not measured in {run.name}: {_listed(cells)}; metrics that need it leave this "
                f"run out."
            )
    if len(said) > MOST_NAMED:
        rest = len(said) - MOST_NAMED
        return [*said[:MOST_NAMED], f"{rest} more runs lack accuracies on tasks learnt so far."]
    return said


def _listed(names: Sequence[str]) -> str:
    """Returns the first few names, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


Cell = tuple[str, str, int | None, tuple[str, ...], str]


def _scores(runs: Iterable[MatrixRun]) -> dict[Cell, float]:
    """Returns the accuracy of every (backbone, method, replicate, prefix, task) measured."""
    scores: dict[Cell, float] = {}
    for run in runs:
        head = (run.backbone, run.method, run.replicate)
        for k, row in enumerate(run.R):
            for task, value in zip(run.order, row, strict=True):
                if np.isnan(value):
                    continue
                known = scores.setdefault((*head, run.order[:k], task), value)
                if known != value:
                    raise ValueError(
                        f"Two matrices of {run.method} disagree about {task} after "
                        f"{'>'.join(run.order[:k]) or 'stage 0'} ({known:g} and {value:g}); if "
                        f"they are of two seeds, give them different replicates."
                    )
    return scores


def _with_start(
    given: ArrayLike, order: tuple[str, ...], zero_shot: Mapping[str, float] | None
) -> np.ndarray:
    """Returns R [T + 1, T], row 0 = NaN where unknown."""
    R, T = np.asarray(given, float), len(order)
    name = ">".join(order)
    if len(set(order)) < T:
        raise ValueError(f"The order {name} names a task twice; a task is learnt once.")
    if R.shape not in ((T, T), (T + 1, T)) or not np.isfinite(R).any():
        raise ValueError(
            f"The matrix of order {name} must have shape {(T, T)} or {(T + 1, T)} and hold "
            f"accuracies; got shape {R.shape} with {int(np.isfinite(R).sum())} of them."
        )
    if len(R) == T + 1:
        return R
    absent = [task for task in order if zero_shot is not None and task not in zero_shot]
    if absent:
        raise ValueError(f"zero_shot lacks {', '.join(absent)}, which order {name} holds.")
    start = [zero_shot[task] if zero_shot is not None else np.nan for task in order]
    return np.vstack([start, R])
