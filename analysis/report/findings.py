"""What the numbers say, in sentences."""

from collections import Counter
from typing import Any

import pandas as pd

from analysis.report.figures import interval
from analysis.report.frames import rows
from analysis.results import Results

MAX_NAMED = 6
"""Methods named in one sentence."""
NOTHING = 5e-4
"""Differences below this read as 0.000."""


def findings(
    results: Results, runs: pd.DataFrame, summary: pd.DataFrame, comparison: pd.DataFrame
) -> list[str]:
    """Sentences about accuracy, order, ranking, zero-shot loss and gaps; names in **bold**."""
    found = []
    for backbone, part in summary.groupby("backbone"):
        mine = runs[runs["backbone"] == backbone]
        said = [
            _accuracy(part),
            _difference(comparison[comparison["backbone"] == backbone]),
            _moved(mine),
            _stability(mine),
            _lost(part, "zero_shot_erosion", "zero-shot accuracy on held-out probes"),
            _lost(part, "retrieval_erosion", "retrieval recall at 1"),
        ]
        where = f"{backbone}: " if summary["backbone"].nunique() > 1 else ""
        found += [where + sentence for sentence in said if sentence]
    return [sentence for sentence in [*found, _gaps(results), _condition(summary)] if sentence]


def _accuracy(summary: pd.DataFrame) -> str:
    best = summary[summary["metric"] == "average_accuracy"]
    best = best.sort_values(["mean", "method"], ascending=[False, True])
    runs, replicates = best["runs"].max(), best["replicates"].max()
    size = f"Over {plural(runs, 'run')} per method in {plural(replicates, 'replicate')}, "
    named = [
        f"**{row.method}** {'keeps ' if i == 0 else ''}{_interval(row)}"
        f"{' average accuracy' if i == 0 else ''}"
        for i, row in enumerate(rows(best.head(MAX_NAMED)))
    ]
    rest = f" and {len(best) - MAX_NAMED} more" if len(best) > MAX_NAMED else ""
    return f"{size}{', '.join(named)}{rest}."


def _difference(comparison: pd.DataFrame) -> str:
    """The best other method against the baseline, paired."""
    accuracy = comparison[comparison["metric"] == "average_accuracy"]
    if accuracy.empty:
        return ""
    row = next(rows(accuracy.sort_values(["mean", "method"], ascending=[False, True])))
    losses = row.runs - row.wins - row.ties
    direction, count = ("better", row.wins) if row.mean >= 0 else ("worse", losses)
    return (
        f"On the same order and replicate, **{row.method}** is {direction} than "
        f"**{row.baseline}** in {count} of {plural(row.runs, 'run')}; the mean difference is "
        f"{_interval(row)}."
    )


def _moved(runs: pd.DataFrame) -> str:
    """The method that the order moves most, within one replicate."""
    accuracy = runs.groupby(["method", "replicate"])["average_accuracy"]
    ranges = accuracy.max() - accuracy.min()
    if ranges.empty or ranges.max() < NOTHING:
        return ""
    method, replicate = ranges.sort_values().index[-1]
    block = runs[(runs["method"] == method) & (runs["replicate"] == replicate)]
    low, *_, high = rows(block.sort_values("average_accuracy"))
    return (
        f"The order matters most to **{method}**: within one replicate its average "
        f"accuracy ranges from {low.average_accuracy:.3f} ({', '.join(low.order)}) to "
        f"{high.average_accuracy:.3f} ({', '.join(high.order)})."
    )


def _stability(runs: pd.DataFrame) -> str:
    """How often the method that is best on average is the best of one run."""
    wide = runs.pivot(index=["replicate", "order"], columns="method", values="average_accuracy")
    wide = wide.dropna()
    if wide.shape[1] < 3 or len(wide) < 2:
        return ""
    best = wide.mean().idxmax()
    others = wide.drop(columns=best)
    beaten = wide[best] < others.max(axis=1)
    shared = " or shares the first place" if (wide[best] == others.max(axis=1)).any() else ""
    who = Counter(others[beaten].idxmax(axis=1) if beaten.any() else [])
    rest = "".join(f", **{method}** in {count}" for method, count in who.most_common())
    return (
        f"With all methods on the same order and replicate, **{best}** comes first{shared} in "
        f"{int((~beaten).sum())} of {plural(len(wide), 'case')}{rest}."
    )


def _lost(summary: pd.DataFrame, metric: str, what: str) -> str:
    """What the method that loses most loses, and what the most accurate method loses."""
    lost = {row.method: row for row in rows(summary[summary["metric"] == metric])}
    most = max(lost.values(), key=lambda row: row.mean, default=None)
    if most is None or most.mean < NOTHING:
        return ""
    accuracy = summary[(summary["metric"] == "average_accuracy") & summary["method"].isin(lost)]
    best = lost[accuracy["method"].iloc[accuracy["mean"].argmax()]]
    sentence = f"The {what} falls most with **{most.method}**, by {_interval(most)}"
    if best is most:
        return f"{sentence}."
    return f"{sentence}; with **{best.method}**, the most accurate method, by {_interval(best)}."


def _gaps(results: Results) -> str:
    missing = int((results.runs["missing"] > 0).sum())
    if not missing:
        return ""
    failed = plural(len(results.failures), "stage")
    planned = plural(len(results.runs), "planned run")
    return f"{missing} of {planned} {'is' if missing == 1 else 'are'} incomplete ({failed} failed)."


def _condition(summary: pd.DataFrame) -> str:
    if summary.empty or summary["low"].notna().any():
        return ""
    return (
        "There are no intervals: they need at least two replicates with all runs complete; "
        "orders of one replicate share a seed and prefixes, so they are no independent sample."
    )


def _interval(row: Any) -> str:
    return interval(row.mean, row.low, row.high)


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", "\u202f")
