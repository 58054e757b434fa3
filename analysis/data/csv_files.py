"""Results of other tools, from their CSV files."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from analysis.data.accuracy_matrices import combine, from_matrices
from analysis.data.results import Results

MAMMOTH = re.compile(r"accuracy_(\d+)_task(\d+)")


def load_csv(
    path: str | Path | TextIO, order: Sequence[str] | None = None, method: str | None = None
) -> Results:
    r"""Returns the results in a CSV file, in whatever unit it holds.

    Four layouts are understood:

    - a matrix: a header with the tasks in learning order, then T rows, one per stage, or T + 1
      with the untouched backbone first;
    - a long table with columns order (tasks separated by ">"), stage, eval_task, value, and
      possibly method and replicate;
    - Avalanche's eval_results.csv (CSVLogger): eval_exp, training_exp, eval_accuracy;
    - Mammoth's logs.csv: one row per run, accuracy_1_task1, ... Mammoth stores no accuracy on
      unseen tasks, so metrics that need it are NaN.

    Args:
        path: the file, or an open one.
        order: names of the tasks in learning order, for Avalanche and Mammoth, which number them.
        method: what to call the method where the file does not say.

    Raises:
        ValueError: the columns are none of these, or an order does not fit them.

    >>> import io
    >>> results = load_csv(io.StringIO("cars,pets\n0.9,0.2\n0.7,0.8"))
    >>> results.matrix("unnamed", "unnamed", 0, ("cars", "pets"))
                        cars  pets
    stage trained_task
    0                    NaN   NaN
    1     cars           0.9   0.2
    2     pets           0.7   0.8
    """
    frame = pd.read_csv(path)
    columns = set(map(str, frame.columns))
    layout: Callable[[pd.DataFrame, Sequence[str] | None, str | None], Results]
    if {"order", "stage", "eval_task", "value"} <= columns:
        layout = _long
    elif {"eval_exp", "training_exp", "eval_accuracy"} <= columns:
        layout = _avalanche
    elif any(MAMMOTH.fullmatch(column) for column in columns):
        layout = _mammoth
    elif len(frame) in (len(columns), len(columns) + 1):
        return from_matrices([frame.to_numpy(float)], [list(frame.columns)], method or "unnamed")
    else:
        raise ValueError(
            f"'{path}' is no matrix, no long table (order, stage, eval_task, value), no "
            f"eval_results.csv of Avalanche and no logs.csv of Mammoth; its columns are: "
            f"{', '.join(map(str, frame.columns))}."
        )
    return layout(frame, order, method)


def _long(frame: pd.DataFrame, order: Sequence[str] | None, method: str | None) -> Results:
    defaults: dict[str, Any] = {"method": method or "unnamed", "replicate": 0}
    frame = frame.assign(**{k: v for k, v in defaults.items() if k not in frame})
    found = {}
    for name, mine in frame.groupby("method"):
        matrices, orders, replicates = [], [], []
        for (replicate, text), run in mine.groupby(["replicate", "order"], sort=False):
            tasks = [task.strip() for task in str(text).split(">")]
            table = run.pivot(index="stage", columns="eval_task", values="value")
            matrices.append(table.reindex(range(len(tasks) + 1), columns=tasks).to_numpy(float))
            orders.append(tasks)
            replicates.append(int(str(replicate)))
        found[str(name)] = from_matrices(matrices, orders, str(name), replicates=replicates)
    return combine(found)


def _avalanche(frame: pd.DataFrame, order: Sequence[str] | None, method: str | None) -> Results:
    stages = pd.to_numeric(frame["training_exp"], errors="coerce") + 1  # "None" before training
    frame = frame.assign(stage=stages.fillna(0).astype(int))
    frame = frame.drop_duplicates(["stage", "eval_exp"], keep="last")
    table = frame.pivot(index="stage", columns="eval_exp", values="eval_accuracy")
    tasks = _names(order, table.shape[1])
    table = table.reindex(range(len(tasks) + 1), columns=range(len(tasks)))
    return from_matrices([table.to_numpy(float)], [tasks], method or "unnamed")


def _mammoth(frame: pd.DataFrame, order: Sequence[str] | None, method: str | None) -> Results:
    places = {c: MAMMOTH.fullmatch(c) for c in map(str, frame.columns)}
    cells = {c: (int(m[2]) - 1, int(m[1]) - 1) for c, m in places.items() if m}
    tasks = _names(order, 1 + max(k for k, _ in cells.values()))
    matrices = np.full((len(frame), len(tasks), len(tasks)), np.nan)
    for column, (k, i) in cells.items():
        matrices[:, k, i] = frame[column]
    names = frame["model"].astype(str) if "model" in frame and method is None else None
    labels = np.array([method or "unnamed"] * len(frame) if names is None else names.to_list())
    return combine(
        {
            str(label): from_matrices(
                list(matrices[labels == label]), [tasks] * int((labels == label).sum()), str(label)
            )
            for label in dict.fromkeys(labels)
        }
    )


def _names(order: Sequence[str] | None, count: int) -> list[str]:
    if order is not None and len(order) != count:
        raise ValueError(f"The file holds {count} tasks, but the order names {len(order)}.")
    return list(order) if order is not None else [f"task {i + 1}" for i in range(count)]
