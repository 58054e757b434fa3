"""Bare matrices: a table with a row per stage and a column per task, or an array."""

import math
import re
from itertools import pairwise

import numpy as np

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, named, unknown_task
from analysis.data.formats.cells import is_number, name, number, numbers
from analysis.data.given_units import looks_transposed

LAYOUTS = ("auto", "stages_by_tasks", "tasks_by_stages")
SUMMARIES = {"average", "avg", "avg.", "mean", "transfer", "last", "total", "std"}
"""Names of rows and columns that sum others up, in lower case."""
START = {
    "untouched", "zero-shot", "zero_shot", "zero shot", "zeroshot", "clip", "pretrained", "init",
    "initial", "before", "start", "none", "nan", "",
}  # fmt: skip
"""Names of the row of the untouched backbone, in lower case."""
_INDEX = re.compile(r"|unnamed: 0|index|stage|step|session|after|trained(_task)?|tasks?", re.I)
_STAGE = re.compile(r"(?:after|stage|step|session|t)?[ _-]*(?:task|stage|step)?[ _-]*(\d+)", re.I)


def read_arrays(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns one run per array [T, T] or [T + 1, T], or per part of a stack of them."""
    runs = []
    for array in given.arrays:
        for part in array if array.ndim == 3 else array[None]:
            if part.ndim != 2:
                raise ValueError(
                    f"'{given.name}' must hold arrays [stages, tasks] or [runs, stages, tasks], "
                    f"but holds one of shape {array.shape}."
                )
            table = [[repr(float(value)) for value in row] for row in part]
            runs.append(_run(given, wanted, [], [], table)[0])
    return Reading(runs)


def read_matrix(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the run of a table, with or without names of columns and rows.

    Rows are stages and columns tasks, unless columns are called "stage 1", "after cars" and rows
    are named, or `layout` says so. A row that is named like a task is the stage after it, so named
    rows say the order. Rows and columns such as Average are left out.
    """
    columns, labels, rows = _parts(given)
    run, dropped = _run(given, wanted, columns, labels, rows)
    notes = (f"Left out of {given.name}: {', '.join(dropped)}.",) if dropped else ()
    return Reading([run], notes)


def _parts(given: GivenFile) -> tuple[list[str], list[str], list[list[str]]]:
    """Returns names of columns, names of rows (each may be none), and the rest."""
    rows = given.cells
    if all(math.isnan(number(cell)[0]) for row in rows for cell in row if is_number(cell)):
        raise ValueError(
            f"'{given.name}' holds no table of accuracies, and no format that is known; see "
            f"analysis.read_matrices for those that are."
        )
    head = rows[0] if _is_head(rows) else []
    rows = rows[1:] if head else rows
    if not rows:
        raise ValueError(f"'{given.name}' has a header but no rows.")
    width = max(map(len, rows))
    while len(rows) > width + 1 and not any(rows[-1]):  # as Excel leaves them
        rows = rows[:-1]
    first = [name(row[0]) if row else "" for row in rows]
    named_rows = not all(map(is_number, first))
    short = len(head) == width - 1 and (named_rows or _is_index("", first))  # as R writes them
    if short or named_rows or (head and _is_index(head[0], first)):
        head = head if short else head[1:]
        return [name(cell) for cell in head], first, [row[1:] for row in rows]
    return [name(cell) for cell in head], [], rows


def _is_head(rows: list[list[str]]) -> bool:
    """Returns whether the first row holds names; whole numbers from 0 or 1 on are names, too."""
    head = rows[0]
    if any(cell and not is_number(cell) for cell in head):
        return True
    whole = [int(cell) for cell in head if re.fullmatch(r"\d+", cell)]
    places = [list(range(first, first + len(whole))) for first in (0, 1)]
    blank = head[0] == "" and len(rows) > 1 and bool(rows[1]) and rows[1][0] != ""
    return len(whole) == len(head) - blank and len(whole) > 1 and sorted(whole) in places


def _is_index(head: str, first: list[str]) -> bool:
    """Returns whether the first column numbers the rows."""
    whole = [int(cell) for cell in first if re.fullmatch(r"\d+", cell)]
    return (
        _INDEX.fullmatch(head) is not None
        and len(whole) == len(first)
        and all(b > a for a, b in pairwise(whole))
    )


def _run(
    given: GivenFile, wanted: Wanted, columns: list[str], labels: list[str], rows: list[list[str]]
) -> tuple[MatrixRun, list[str]]:
    """Returns the run that named columns and rows amount to, and what was left out."""
    if wanted.layout not in LAYOUTS:
        raise ValueError(f"Unknown layout '{wanted.layout}'; allowed: {', '.join(LAYOUTS)}.")
    width = len(columns) or max(map(len, rows))
    dropped = [column for column in columns if column.lower() in SUMMARIES]
    dropped += [label for label in labels if label.lower() in SUMMARIES]
    kept = [i for i in range(width) if not columns or columns[i] not in dropped]
    chosen = [k for k in range(len(rows)) if not labels or labels[k] not in dropped]
    table, unit = numbers([rows[k] for k in chosen], width, given.name)
    R = np.array(table, float).reshape(len(chosen), width)[:, kept]
    columns = [columns[i] for i in kept] if columns else []
    labels = [labels[k] for k in chosen] if labels else []
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"Two columns of '{given.name}' are called '{twice}'; name a task once.")
    if wanted.layout == "tasks_by_stages" or (
        wanted.layout == "auto" and _are_stages(columns) and not _are_stages(labels) and labels
    ):
        R, columns, labels = R.T, labels, columns
    order, R = _in_order(given, wanted, columns, labels, R)
    if wanted.layout == "auto" and looks_transposed(R):
        raise ValueError(
            f"'{given.name}' holds nothing but zeros below its diagonal, as if its rows were tasks "
            f"and its columns stages; say layout='tasks_by_stages' if so, else 'stages_by_tasks'."
        )
    method, backbone = wanted.method or UNNAMED, wanted.backbone or UNNAMED
    return MatrixRun(method, order, R, None, backbone, unit), dropped


def _are_stages(names: list[str]) -> bool:
    """Returns whether names are those of stages in words, such as "stage 1" or "after cars"."""
    return bool(names) and all(
        re.match(r"(after|stage|step|session)\b|(after|stage|step|session)[ _-]?\d", n, re.I)
        or n.lower() in START
        for n in names
    )


def _in_order(
    given: GivenFile, wanted: Wanted, columns: list[str], labels: list[str], R: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the tasks in learning order and R [T + 1, T]."""
    T = R.shape[1]
    tasks = _tasks(given, wanted, columns, T)
    trained = [re.sub(r"^after\s+", "", label, flags=re.I) for label in labels]
    start = bool(trained) and trained[0].lower() in START
    names_rows = bool(trained) and all(label in tasks for label in trained[start:])
    numbers_of = _places(trained[start:])
    if trained and not names_rows and not numbers_of:
        wrong = next(t for t in trained[start:] if t not in tasks)
        raise unknown_task(wrong, tasks, f"as the name of a row of '{given.name}'")
    if names_rows and len(set(trained)) < len(trained):
        raise ValueError(f"Two rows of '{given.name}' have the same name; name a task once.")
    if not names_rows and any(b != a + 1 for a, b in pairwise(numbers_of)):
        raise ValueError(
            f"Rows of '{given.name}' are numbered {', '.join(trained)}, with gaps; add empty rows "
            f"for the stages that are missing."
        )
    if names_rows and len(R) - start == T:
        order = wanted.order if wanted.order and set(wanted.order) == set(tasks) else None
        order = order or tuple(trained[start:])
        stages = R[start:][[trained[start:].index(task) for task in order]]
        first = R[:1] if start else np.full((1, T), np.nan)
        return order, np.vstack([first, stages])[:, [tasks.index(task) for task in order]]
    if len(R) not in (T, T + 1):
        hint = "; if its rows are tasks, say layout='tasks_by_stages'" if len(R) + 1 == T else ""
        raise ValueError(
            f"'{given.name}' is no accuracy matrix: it has {len(R)} rows for {T} tasks, and must "
            f"have one row per stage, {T} or (with the untouched backbone first) {T + 1}{hint}."
        )
    R = R if len(R) == T + 1 else np.vstack([np.full((1, T), np.nan), R])
    order = wanted.order if wanted.order and set(wanted.order) == set(tasks) else tuple(tasks)
    return order, R[:, [tasks.index(task) for task in order]]


def _places(labels: list[str]) -> list[int]:
    """Returns the numbers of rows that are called by number, such as 1 or "stage 1"; else none."""
    found = [_STAGE.fullmatch(label) for label in labels]
    return [int(m[1]) for m in found if m] if all(found) else []


def _tasks(given: GivenFile, wanted: Wanted, columns: list[str], T: int) -> list[str]:
    """Returns what the columns are called: names, or else the order that was given."""
    if not columns:
        return list(named(wanted.order, T, given.name))
    if wanted.order is None or set(wanted.order) == set(columns):
        return columns
    if all(_STAGE.fullmatch(column) for column in columns):  # numbers, which the order names
        return list(named(wanted.order, T, given.name))
    for task in wanted.order:
        if task not in columns:
            raise unknown_task(task, columns, "in the order")
    left = ", ".join(column for column in columns if column not in wanted.order)
    raise ValueError(f"The order does not name {left}, which '{given.name}' has a column for.")
