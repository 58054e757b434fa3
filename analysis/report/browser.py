"""Every accuracy matrix of a study, small enough to travel inside the page.

Stages are stored once and matrices are put together in the browser, as the trie has it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.report.style import Looks
from analysis.results import Results

MAX_SCORES = 500_000
"""Numbers in the page (about 2.5 MB); replicates beyond are only in the data table."""
SCALE = 10_000
"""Accuracies travel as integers."""


def browser_data(results: Results, groups: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the accuracy-matrix browser draws, and which order every dot of a figure is.

    Returns:
        tasks: names; groups: {backbone, method, colour}; runs: [replicate, "i.j.k" of task
        indices] per place (see `places`); replicates: those with scores in the page; scores: one
        {replicate: {"i.j.k": [accuracy on every task]}} per group, accuracies times SCALE, null
        where not measured; omitted: replicates left out for size.
    """
    sequences = [*results.orders["order"], *results.stages["prefix"].unique()]
    tasks = sorted({task for sequence in sequences for task in sequence})
    replicates = sorted(set(results.orders["replicate"]))
    kept = replicates[: _affordable(results, len(tasks), len(replicates))]
    looks = Looks(method for _, method in groups)
    at = {task: i for i, task in enumerate(tasks)}
    return {
        "tasks": tasks,
        "groups": [{"backbone": b, "method": m, "colour": looks.colour(m)} for b, m in groups],
        "runs": [[int(r), ".".join(str(at[t]) for t in order)] for r, order in places(results)],
        "replicates": [int(r) for r in kept],
        "scores": _scores(results, groups, at, set(kept)),
        "scale": SCALE,
        "omitted": len(replicates) - len(kept),
    }


def places(results: Results) -> dict[tuple[int, tuple[str, ...]], int]:
    """A number for every (replicate, order), by which dots in figures name their order."""
    pairs = zip(results.orders["replicate"], results.orders["order"], strict=True)
    return {pair: i for i, pair in enumerate(sorted(set(pairs)))}


def _affordable(results: Results, num_tasks: int, num_replicates: int) -> int:
    """How many replicates fit, at least one."""
    per_replicate = len(results.scores.rows) * num_tasks / num_replicates
    return max(1, int(MAX_SCORES // max(per_replicate, 1)))


def _scores(
    results: Results, groups: Sequence[tuple[str, str]], at: dict[str, int], kept: set[int]
) -> list[dict[str, dict[str, list[int | None]]]]:
    columns = [results.scores.columns.get(("task", task, "accuracy"), -1) for task in at]
    values = np.rint(results.scores.values[:, columns] * SCALE)
    places = {group: i for i, group in enumerate(groups)}
    scores: list[dict[str, dict[str, list[int | None]]]] = [{} for _ in groups]
    for (backbone, method, replicate, prefix), row in results.scores.rows.items():
        if replicate in kept and (backbone, method) in places:
            found = scores[places[backbone, method]].setdefault(str(replicate), {})
            key = ".".join(str(at[task]) for task in prefix)
            found[key] = [None if np.isnan(v) else int(v) for v in values[row]]
    return scores
