"""Every accuracy matrix of a study, small enough to travel inside the page.

Stages are stored once and matrices are put together in the browser, as the trie has it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.results import Results
from analysis.report.figure_style import Looks

MAX_SCORES = 500_000
"""Numbers in the page (about 4 MB); orders beyond are only in the data table."""
Place = tuple[int, tuple[str, ...]]
"""A replicate and an order, or a prefix."""
SCALE = 1_000_000
"""Accuracies travel as integers; of so many digits that none is rounded twice where three are
shown."""


def browser_data(
    results: Results,
    groups: Sequence[tuple[str, str]],
    runs: pd.DataFrame,
    always: Iterable[Place] = (),
) -> dict[str, Any]:
    """Returns what the accuracy-matrix browser draws, and which order every dot of a figure is.

    Args:
        results: of the study.
        groups: (backbone, method), in the order in which they are offered.
        runs: what `metrics` returns for the results.
        always: runs that are shown even where not all of them can be.

    Returns:
        tasks: names; noun: of a score; groups: {backbone, method, colour}; runs: [replicate,
        "i.j.k" of task indices] per place (see `places`); shown: the places with scores in the
        page; scores: one {replicate: {"i.j.k": [score of every task]}} per group, times SCALE, null
        where not measured; ends: one {place: average accuracy} per group, as tables write it, of
        complete runs; omitted: how many places are left out for size.
    """
    sequences = [*results.orders["order"], *results.stages["prefix"].unique()]
    tasks = sorted({task for sequence in sequences for task in sequence})
    looks = Looks(method for _, method in groups)
    at = {task: i for i, task in enumerate(tasks)}
    numbers = places(results)
    shown = sorted(_affordable(results, list(numbers)) | {numbers[place] for place in always})
    every = list(numbers)
    stages = {
        (r, order[:k]) for r, order in (every[i] for i in shown) for k in range(len(order) + 1)
    }
    return {
        "tasks": tasks,
        "noun": results.scores.words.noun,
        "groups": [{"backbone": b, "method": m, "colour": looks.colour(m)} for b, m in groups],
        "runs": [[int(r), ".".join(str(at[t]) for t in order)] for r, order in every],
        "shown": shown,
        "scores": _scores(results, groups, at, stages),
        "ends": _ends(runs, groups, numbers, set(shown)),
        "scale": SCALE,
        "omitted": len(every) - len(shown),
    }


def places(results: Results) -> dict[Place, int]:
    """Returns a number for every (replicate, order), by which dots in figures name their order."""
    pairs = zip(results.orders["replicate"], results.orders["order"], strict=True)
    return {pair: i for i, pair in enumerate(sorted(set(pairs)))}


def _affordable(results: Results, runs: list[Place]) -> set[int]:
    """Returns the places whose scores fit in the page: all of them, or some, evenly."""
    size = results.scores.values.size
    if size <= MAX_SCORES:
        return set(range(len(runs)))
    count = max(1, int(len(runs) * MAX_SCORES / size))
    return {int(i) for i in np.linspace(0, len(runs) - 1, count).round()}


def _ends(
    runs: pd.DataFrame,
    groups: Sequence[tuple[str, str]],
    numbers: dict[Place, int],
    shown: set[int],
) -> list[dict[int, str]]:
    """Returns where runs end, rounded here: a browser that rounds itself may differ from tables."""
    ends: list[dict[int, str]] = [{} for _ in groups]
    number = {group: i for i, group in enumerate(groups)}
    columns = (runs[c] for c in ("backbone", "method", "replicate", "order", "average_accuracy"))
    for backbone, method, replicate, order, value in zip(*columns, strict=True):
        place = numbers[replicate, order]
        if place in shown and (backbone, method) in number:
            ends[number[backbone, method]][place] = f"{value:.3f}"
    return ends


def _scores(
    results: Results, groups: Sequence[tuple[str, str]], at: dict[str, int], stages: set[Place]
) -> list[dict[str, dict[str, list[int | None]]]]:
    array = results.scores
    columns = [array.columns.get(array.score("task", task), -1) for task in at]
    values = np.rint(array.values[:, columns] * SCALE)
    number = {group: i for i, group in enumerate(groups)}
    scores: list[dict[str, dict[str, list[int | None]]]] = [{} for _ in groups]
    for (backbone, method, replicate, prefix), row in array.rows.items():
        if (replicate, prefix) in stages and (backbone, method) in number:
            found = scores[number[backbone, method]].setdefault(str(replicate), {})
            key = ".".join(str(at[task]) for task in prefix)
            found[key] = [None if np.isnan(v) else int(v) for v in values[row]]
    return scores
