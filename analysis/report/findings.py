"""What the numbers say, in sentences."""

import numpy as np
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
        of = f"On {backbone}, over" if summary["backbone"].nunique() > 1 else "Over"
        mine = runs[runs["backbone"] == backbone]
        found += [
            _accuracy(of, part),
            _difference(comparison[comparison["backbone"] == backbone]),
            _moved(mine),
            _stability(mine),
            _lost(part, "probe_drop", "zero-shot accuracy on the held-out probes"),
            _lost(part, "retrieval_drop", "retrieval recall at 1"),
        ]
    return [sentence for sentence in [*found, _gaps(results), _condition(summary)] if sentence]


def _accuracy(of: str, summary: pd.DataFrame) -> str:
    best = summary[summary["metric"] == "average_accuracy"].sort_values("mean", ascending=False)
    runs, replicates = best["runs"].max(), best["replicates"].max()
    size = f"{of} {plural(runs, 'run')} per method in {plural(replicates, 'replicate')}, "
    named = [
        f"**{row.method}** {'keeps ' if i == 0 else ''}{interval(row.mean, row.low, row.high)}"
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
    row = next(rows(accuracy.sort_values("mean", ascending=False)))
    losses = row.runs - row.wins - row.ties
    direction, count = ("better", row.wins) if row.mean >= 0 else ("worse", losses)
    return (
        f"On the same order and replicate, **{row.method}** is {direction} than "
        f"**{row.baseline}** in {count} of {plural(row.runs, 'run')}; the mean difference is "
        f"{interval(row.mean, row.low, row.high)}."
    )


def _moved(runs: pd.DataFrame) -> str:
    """The method that the order moves most, within one replicate."""
    ranges = (
        runs.groupby(["method", "replicate"])["average_accuracy"]
        .agg(lambda x: x.max() - x.min())
        .sort_values()
    )
    if ranges.empty or ranges.iloc[-1] < NOTHING:
        return ""
    (method, replicate), size = ranges.index[-1], ranges.iloc[-1]
    part = runs[(runs["method"] == method) & (runs["replicate"] == replicate)]
    values = part["average_accuracy"]
    low, high = part.iloc[values.argmin()], part.iloc[values.argmax()]
    return (
        f"Within one replicate, another order moves **{method}** by up to {size:.3f}: from "
        f"{values.min():.3f} ({', '.join(low['order'])}) to {values.max():.3f} "
        f"({', '.join(high['order'])})."
    )


def _stability(runs: pd.DataFrame) -> str:
    """How often the method that is best on average is the best of one run."""
    wide = runs.pivot(index=["replicate", "order"], columns="method", values="average_accuracy")
    wide = wide.dropna()
    if wide.shape[1] < 3 or len(wide) < 2:
        return ""
    best = wide.mean().idxmax()
    others = wide.drop(columns=best)
    wins = int((wide[best] > others.max(axis=1)).sum())
    who = others.loc[wide[best] <= others.max(axis=1)].idxmax(axis=1).value_counts()
    rest = f"; else it is {', '.join(f'**{m}** ({n})' for m, n in who.items())}" if len(who) else ""
    return f"**{best}** is the best method in {wins} of {len(wide)} single comparisons{rest}."


def _lost(summary: pd.DataFrame, metric: str, what: str) -> str:
    """Who loses most and least of what the backbone could do before."""
    lost = summary[summary["metric"] == metric].sort_values("mean")
    lost = lost[lost["mean"].abs() > NOTHING]  # methods that leave the backbone as it is
    if lost.empty or lost["mean"].max() <= 0:
        return ""
    *others, most = rows(lost)
    least = (f", **{o.method}** {interval(o.mean, o.low, o.high)}" for o in others[:1])
    size = interval(most.mean, most.low, most.high)
    return f"**{most.method}** loses {size} {what}{''.join(least)}."


def _gaps(results: Results) -> str:
    missing = int((results.runs["missing"] > 0).sum())
    if not missing:
        return ""
    failed = plural(len(results.failures), "stage")
    planned = plural(len(results.runs), "planned run")
    return f"{missing} of {planned} {'is' if missing == 1 else 'are'} incomplete ({failed} failed)."


def _condition(summary: pd.DataFrame) -> str:
    if np.isfinite(summary["low"]).any():
        return ""
    return (
        "There are no intervals: they need at least two replicates with all runs complete; "
        "orders of one replicate share a seed and prefixes, so they are no independent sample."
    )


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", "\u202f")
