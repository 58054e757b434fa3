"""Tables of final scores: a row per order (and method and seed) with one number."""

import math
from pathlib import PurePath

import pandas as pd

from analysis.data.accuracy_matrices import UNNAMED
from analysis.data.formats.base import GivenFile
from analysis.data.formats.cells import is_number, name, number
from analysis.data.order_scores import ROWS, OrderScores
from analysis.data.published_orders import split_path, write_path

ORDER = ("order", "task_order", "class_order", "order_id", "sequence", "permutation", "curriculum")
METHOD = ("method", "model", "approach", "algorithm")
SEED = ("seed", "replicate", "run", "trial", "repeat")
PUBLISHED = ("published", "is_published")
"""What columns are called, in lower case."""
OF_MATRICES = {"stage", "eval_task", "trained_task"}
"""Columns that only a table of accuracy matrices has."""
USUAL = ("score", "value", "accuracy", "final_accuracy", "average_accuracy")
"""Which column is the score where several hold numbers, the first that is there."""
YES, NO = {"true", "yes", "1", "1.0", "x", "published"}, {"", "false", "no", "0", "0.0", "nan"}


def is_order_table(head: list[str]) -> bool:
    """Returns whether a header is that of a table with one number per order."""
    names = {cell.lower() for cell in head}
    return bool(names & set(ORDER)) and not names & OF_MATRICES


def published_paths(given: GivenFile) -> list[str]:
    """Returns the orders that a table of matrices marks as published."""
    head, *rows = [[]] if given.arrays else given.cells or [[]]
    order, mark = _column(head, ORDER), _column(head, PUBLISHED)
    if order is None or mark is None:
        return []
    marked = (row[order] for row in rows if len(row) > mark and _is_yes(row[mark], given.name))
    return list(dict.fromkeys(marked))


def read_order_table(given: GivenFile, score: str | None = None) -> OrderScores:
    """Returns the scores of a table.

    Columns: an order (ORDER: tasks with > or commas between, or any label), a number of any name,
    and possibly a method (METHOD), a seed (SEED) and a mark of published orders (PUBLISHED).

    Args:
        given: the file.
        score: the column that holds the scores, where several hold numbers.

    Raises:
        ValueError: a column is missing or not clear, or a row contradicts another.
    """
    head, *rows = given.cells
    head = [cell or f"column {i + 1}" for i, cell in enumerate(head)]
    rows = [row + [""] * (len(head) - len(row)) for row in rows if any(row)]
    at = {
        kind: _column(head, names)
        for kind, names in (("order", ORDER), ("method", METHOD), ("seed", SEED))
    }
    mark = _column(head, PUBLISHED)
    used = {place for place in (*at.values(), mark) if place is not None}
    place = _score(given, head, rows, used, score)
    order_at = at["order"]
    if order_at is None:
        raise ValueError(f"'{given.name}' has no column 'order'; it has: {', '.join(head)}.")
    tasks = _tasks([row[order_at] for row in rows])
    found, signs, skipped = [], set(), 0
    for line, row in enumerate(rows, 1):
        value, is_percent = _number(row[place], line, given.name)
        if math.isnan(value):
            skipped += 1
            continue
        signs.add(is_percent)
        label = name(row[order_at])
        if not label:
            raise ValueError(f"Row {line} of '{given.name}' names no order.")
        label = write_path(tasks[label]) if tasks else label
        method, seed = (
            name(row[column]) if (column := at[kind]) is not None else ""
            for kind in ("method", "seed")
        )
        published = mark is not None and _is_yes(row[mark], given.name)
        found.append((method or UNNAMED, label, seed, value, published))
    if not found:
        raise ValueError(f"'{given.name}' holds no score in its column '{head[place]}'.")
    if len(signs) > 1:
        raise ValueError(f"Some scores of '{given.name}' have a % sign and some not.")
    frame = pd.DataFrame(found, columns=ROWS)
    _check(frame, given.name, at["seed"] is not None)
    frame["published"] = frame["order"].isin(frame.loc[frame["published"], "order"])
    others = [head[i] for i in range(len(head)) if i not in {*used, place}]
    notes = [f"Columns of the file that are not used: {', '.join(others)}."] if others else []
    notes += [f"Rows without a score: {skipped}."] if skipped else []
    unit = " (%)" if True in signs else ""
    return OrderScores(
        frame,
        head[place] + unit,
        {write_path(order): order for order in tasks.values()},
        PurePath(given.name).stem,
        tuple(notes),
    )


def _column(head: list[str], names: tuple[str, ...]) -> int | None:
    """Returns the place of the first of these names that a header holds."""
    lower = [cell.lower() for cell in head]
    return next((lower.index(name) for name in names if name in lower), None)


def _score(
    given: GivenFile, head: list[str], rows: list[list[str]], used: set[int], score: str | None
) -> int:
    """Returns the place of the column that holds the scores."""
    numeric = [
        i
        for i in range(len(head))
        if i not in used
        and all(is_number(row[i]) for row in rows)
        and not all(math.isnan(number(row[i])[0]) for row in rows)
    ]
    names = [head[i] for i in numeric]
    if score is not None:
        if score not in names:
            raise ValueError(
                f"'{given.name}' has no column of numbers '{score}'; there are: "
                f"{', '.join(names) or 'none'}."
            )
        return numeric[names.index(score)]
    if len(numeric) > 1:
        usual = _column([head[i] for i in numeric], USUAL)
        if usual is not None:
            return numeric[usual]
        raise ValueError(
            f"'{given.name}' has several columns of numbers ({', '.join(names)}); say which one "
            f"holds the scores with --score, for example --score '{names[0]}'."
        )
    if not numeric:
        raise ValueError(
            f"'{given.name}' has no column of scores: beside the order there is no column whose "
            f"cells are all numbers; it has: {', '.join(head)}."
        )
    return numeric[0]


def _tasks(cells: list[str]) -> dict[str, tuple[str, ...]]:
    """Returns the tasks of every order; {} unless all cells list the same tasks."""
    orders = {name(cell): split_path(cell) for cell in cells if cell}
    sets = {tuple(sorted(order)) for order in orders.values()}
    is_known = len(sets) == 1 and len(set(*sets)) == len(*sets) > 1
    return orders if is_known else {}


def _number(cell: str, line: int, file: str) -> tuple[float, bool]:
    value, is_percent = number(cell)
    if math.isinf(value):
        raise ValueError(f"Row {line} of '{file}': a score cannot be infinite.")
    return value, is_percent


def _is_yes(cell: str, file: str) -> bool:
    lower = cell.strip().lower()
    if lower not in YES | NO:
        raise ValueError(
            f"The column 'published' of '{file}' must hold true or false, but holds '{cell}'."
        )
    return lower in YES


def _check(frame: pd.DataFrame, file: str, has_seed: bool) -> None:
    """Refuse two scores of the same order where no seed tells them apart."""
    twice = frame[frame.duplicated(["method", "order", "seed"])]
    if len(twice):
        row = twice.iloc[0]
        of = "" if row["method"] == UNNAMED else f" of method {row['method']}"
        seed = f" and seed {row['seed']}" if has_seed and row["seed"] else ""
        raise ValueError(
            f"'{file}' holds two scores of order {row['order']}{of}{seed}; if they are of two "
            f"seeds, tell them apart in a column 'seed'."
        )
