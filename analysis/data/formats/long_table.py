"""Long tables: one accuracy per row, with the order, the stage and the task it belongs to."""

import math
import re
from collections import defaultdict

import numpy as np

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, name_of, unknown_task
from analysis.data.formats.cells import name, numbers

NEEDED = ("stage", "eval_task", "value")
ALIASES = {"accuracy": "value", "acc": "value", "task": "eval_task", "seed": "replicate"}
"""Other names of columns, used where the name itself is no column."""
UNTOUCHED = {"", "none", "nan", "null", "-"}

Run = tuple[str, str, str, tuple[str, ...]]
"""(backbone, method, replicate, order)."""


def columns_of(head: list[str]) -> dict[str, int]:
    """Returns the place of every column by its name in lower case, aliases resolved."""
    places = {cell.lower(): i for i, cell in enumerate(head)}
    for alias, column in ALIASES.items():
        if alias in places:
            places.setdefault(column, places[alias])
    return places


def is_long(head: list[str], wanted: Wanted) -> bool:
    """Returns whether a header is that of a long table."""
    places = columns_of(head)
    return set(NEEDED) <= set(places) and ("order" in places or wanted.order is not None)


def read_long(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the runs of a long table, in any sequence of rows.

    Stages count learnt tasks, 0 = the untouched backbone. If no run has its last stage but some
    have stage 0, stages are counted from 0 instead: read otherwise, every run would lack its end.
    `trained_task`, where it is there, or `first_stage` decide.
    """
    head, *rows = given.cells
    at = columns_of(head)
    lacking = [column for column in NEEDED if column not in at]
    if lacking or ("order" not in at and wanted.order is None):
        raise ValueError(
            f"'{given.name}' is no long table; it needs columns order (tasks separated by >), "
            f"stage, eval_task and value, and has: {', '.join(head)}."
        )
    rows = [row + [""] * (len(head) - len(row)) for row in rows if any(row)]
    for column, name_wanted in (("method", wanted.method), ("backbone", wanted.backbone)):
        said = (name(row[at[column]]) for row in rows if column in at)
        name_of(said, name_wanted, column, given.name)
    values, unit = numbers([[row[at["value"]]] for row in rows], 1, given.name)
    runs: dict[Run, dict[tuple[int, str], float]] = defaultdict(dict)
    trained: dict[Run, dict[int, str]] = defaultdict(dict)
    for line, (row, (value,)) in enumerate(zip(rows, values, strict=True), 1):
        run = _run(row, at, wanted)
        stage = _whole(row[at["stage"]], "stage", line, given.name)
        task = name(row[at["eval_task"]])
        if wanted.order is not None and run[3] != wanted.order:
            raise ValueError(
                f"'{given.name}' says itself that an order is {'>'.join(run[3])}; leave order out."
            )
        if task not in run[3]:
            raise unknown_task(task, run[3], f"in row {line} of '{given.name}'")
        if "trained_task" in at:
            trained[run][stage] = name(row[at["trained_task"]])
        if math.isnan(value):
            runs[run].setdefault((stage, task), value)
            continue
        known = runs[run].get((stage, task), math.nan)
        if known != value and not math.isnan(known):
            raise ValueError(
                f"'{given.name}' holds two accuracies on {task} at stage {stage} of order "
                f"{'>'.join(run[3])}, {known:g} and {value:g}; if they are of two seeds, add a "
                f"column 'replicate'."
            )
        runs[run][stage, task] = value
    first, notes = _first_stage(given, wanted, runs, trained)
    found = [_matrix(given, run, cells, first, unit) for run, cells in runs.items()]
    return Reading(found, notes)


def _run(row: list[str], at: dict[str, int], wanted: Wanted) -> Run:
    """Returns which run a row belongs to."""
    text = re.sub(r"\s*(?:->|\u2192|>)\s*", ">", row[at["order"]]) if "order" in at else ""
    order = tuple(map(name, text.split(">"))) if text else wanted.order or ()

    def of(column: str, default: str) -> str:
        return name(row[at[column]]) if column in at and row[at[column]] else default

    method = wanted.method or of("method", UNNAMED)
    return wanted.backbone or of("backbone", UNNAMED), method, of("replicate", "0"), order


def _whole(cell: str, column: str, line: int, file: str) -> int:
    """Returns the whole number in a cell."""
    if not re.fullmatch(r"-?\d+(\.0*)?", cell):
        raise ValueError(
            f"Row {line} of '{file}': {column} must be a whole number, but is '{cell}'."
        )
    return int(float(cell))


def _first_stage(
    given: GivenFile,
    wanted: Wanted,
    runs: dict[Run, dict[tuple[int, str], float]],
    trained: dict[Run, dict[int, str]],
) -> tuple[int, tuple[str, ...]]:
    """Returns the number of the stage after the first task, and what to say if that is not 1."""
    if wanted.first_stage is not None:
        return wanted.first_stage, ()
    stages = {run: {stage for stage, _ in cells} for run, cells in runs.items()}
    shifts = {
        stage - run[3].index(task)
        for run, tasks in trained.items()
        for stage, task in tasks.items()
        if task.lower() not in UNTOUCHED and task in run[3]
    }
    if len(shifts) > 1:
        raise ValueError(
            f"In '{given.name}' stage and trained_task do not follow the order; a stage must be "
            f"the place of its trained task in the order."
        )
    if shifts:
        first = shifts.pop()
    else:
        reaches_end = any(max(found) >= len(run[3]) for run, found in stages.items())
        lowest = min(map(min, stages.values()))
        first = 0 if lowest < 0 or (lowest == 0 and not reaches_end) else 1
    if first == 1:
        return 1, ()
    return first, (
        f"Stages of {given.name} are counted from {first}: stage {first} is after the first task "
        f"(first_stage=1 would make stage 0 the untouched backbone).",
    )


def _matrix(
    given: GivenFile, run: Run, cells: dict[tuple[int, str], float], first: int, unit: str
) -> MatrixRun:
    """Returns the matrix of a run."""
    backbone, method, replicate, order = run
    measured = {task for _, task in cells}
    for task in order:
        if task not in measured:
            raise ValueError(
                f"'{given.name}' holds no accuracy on {task}, which order {'>'.join(order)} "
                f"names; measured are: {', '.join(sorted(measured))}."
            )
    R = np.full((len(order) + 1, len(order)), np.nan)
    for (stage, task), value in cells.items():
        row = stage + 1 - first
        if not 0 <= row <= len(order):
            raise ValueError(
                f"'{given.name}' has a stage {stage}, but order {'>'.join(order)} has "
                f"{len(order)} tasks; stages go from 0 (the untouched backbone) to {len(order)}."
            )
        R[row, order.index(task)] = value
    number = _whole(replicate, "replicate", 1, given.name)
    return MatrixRun(method, order, R, number, backbone, unit)
