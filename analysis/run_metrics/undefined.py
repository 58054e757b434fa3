"""Which metrics cannot be computed for which runs, in sentences."""

import pandas as pd

from analysis.run_metrics.metric import with_extra

MOST_RUNS = 3
"""Runs that a sentence names; more are counted."""


def undefined_metrics(runs: pd.DataFrame, noun: str = "accuracy") -> list[str]:
    """Returns one sentence for every set of runs that lacks metrics of its matrix.

    Metrics of probes and retrieval are not spoken of: a study has them or not.

    Args:
        runs: what `metrics` returns.
        noun: what titles call the scores of tasks.

    >>> from analysis import from_matrices, metrics
    >>> results = from_matrices([[[0.9, float("nan")], [0.7, 0.8]]], [("a", "b")])
    >>> print(*undefined_metrics(metrics(results)))
    unnamed: no Transfer (MTIL), Avg (MTIL), Learning, ... for any run.
    """
    said = []
    titled = with_extra((), noun)
    keys = [key for key, metric in titled.items() if metric.of == "task"]
    for (backbone, method), group in runs.groupby(["backbone", "method"]):
        several = runs["backbone"].nunique() > 1
        who = f"{backbone}, {method}" if several else str(method)
        lacking: dict[tuple[int, ...], list[str]] = {}
        for key in keys:
            where = tuple(group.index[group[key].isna()])
            if where:
                lacking.setdefault(where, []).append(titled[key].title)
        said += [
            f"{who}: no {', '.join(titles)} for {_named(group, where)}."
            for where, titles in lacking.items()
        ]
    return said


def _named(group: pd.DataFrame, where: tuple[int, ...]) -> str:
    """Returns which runs of a method are meant."""
    if len(where) == len(group):
        return "any run"
    chosen = group.loc[list(where)]
    names = [
        f"{'>'.join(order)} of replicate {replicate}"
        for order, replicate in zip(chosen["order"], chosen["replicate"], strict=True)
    ]
    more = len(names) - MOST_RUNS
    rest = f" and {more} more" if more > 0 else ""
    return f"{len(names)} of {len(group)} runs: {', '.join(names[:MOST_RUNS])}{rest}"
