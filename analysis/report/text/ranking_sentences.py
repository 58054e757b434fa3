"""What a study says of orders that it did not see, and of another study, in sentences."""

import math
from collections import Counter

import pandas as pd

from analysis.orders.robustness import tolerance
from analysis.orders.variance import reliability
from analysis.report.report_frames import rows
from analysis.report.text.phrases import NOTHING, interval, plural

MOST = 6
"""Methods named in the sentence on unseen orders."""
AGREEMENT = 0.9
"""Kendall's tau from which two rankings count as the same in practice."""


def worst_seen(robustness: pd.DataFrame) -> str:
    """Returns what the worst order seen says about the orders not seen, for all methods at once."""
    known = robustness.dropna(subset="tolerance")
    known = known[known["order_sd"] >= NOTHING]
    if known.empty:
        return ""
    known = known.sort_values(["worst", "method"], ascending=[False, True]).head(MOST)
    fewest, methods = int(known["runs"].min()), len(known)
    share = tolerance(fewest, methods=methods)
    named = [f"{_floor(row.worst, 3):.3f} with **{row.method}**" for row in rows(known)]
    together = " (of all these methods together)" if methods > 1 else ""
    return (
        f"After {plural(fewest, 'random order')}, with 95 % confidence{together} and for the seeds "
        f"of this study, at least {_floor(share, 2):.0%} of all orders end at or above "
        f"{', '.join(named)}."
    )


def _floor(bound: float, digits: int) -> float:
    """Returns a lower bound rounded down, so that it stays one."""
    floored: float = math.floor(bound * 10**digits + 1e-9) / 10**digits
    return floored


def ranking_agreement(runs: pd.DataFrame, stability: pd.DataFrame) -> str:
    """Returns how often the method that is best on average is best in a run."""
    wide = runs.pivot(index=["replicate", "order"], columns="method", values="average_accuracy")
    wide = wide.dropna()
    if wide.shape[1] < 3 or len(wide) < 2:
        return ""
    best = wide.mean().idxmax()
    others = wide.drop(columns=best)
    beaten = wide[best] < others.max(axis=1)
    shared = " or shares the first place" if (wide[best] == others.max(axis=1)).any() else ""
    first = Counter(others[beaten].idxmax(axis=1) if beaten.any() else [])
    rest = "".join(f", **{method}** in {count}" for method, count in first.most_common())
    return (
        f"With all methods on the same order and replicate, **{best}** comes first{shared} in "
        f"{int((~beaten).sum())} of {plural(len(wide), 'case')}{rest}.{_agreement(stability)}"
    )


def _agreement(stability: pd.DataFrame) -> str:
    """Returns how large two studies would have to be to rank the methods alike."""
    if stability.empty:
        return ""
    halves = stability.sort_values("k")
    one, most = halves.iloc[0], halves.iloc[-1]
    said = (
        f" Two studies of one replicate each ({plural(round(one.orders), 'order')}) would rank the "
        f"methods with Kendall tau {one.tau:.2f} to each other"
    )
    agreed = halves[halves["tau"] >= AGREEMENT]
    if len(agreed):
        k = int(agreed["k"].min())
        return f"{said}." if k == 1 else f"{said}; {AGREEMENT} takes {plural(k, 'replicate')} each."
    if most.k == 1:
        have = plural(int(one.replicates), "replicate")
        return f"{said}; what more of them would do, {have} cannot tell."
    return (
        f"{said}, studies of {plural(int(most.k), 'replicate')} each with {most.tau:.2f}; "
        f"{AGREEMENT} takes more, and how many this study cannot tell."
    )


def next_runs(variance: pd.DataFrame, replicates: int, methods: int) -> str:
    """Returns how well the methods are ranked, and whether orders or seeds would do more for it.

    Args:
        variance: what `variance_components` returns, of one backbone.
        replicates: that have runs.
        methods: likewise.
    """
    if variance.empty:
        if replicates != 1 or methods < 2:
            return ""
        return (
            "How reliable the ranking is, and whether orders or seeds would make it more so, one "
            "replicate cannot tell: a second one can."
        )
    seeds, orders = int(variance["seeds"].iloc[0]), int(variance["orders"].iloc[0])
    now = reliability(variance, seeds, orders)
    said = (
        f"The ranking of the {methods} methods has reliability G = "
        f"{interval(now['g'], now['g_low'], now['g_high'])} (1 = another study would rank alike)"
    )
    if now["g_low"] <= 0:
        said += "; as a whole it is not distinguishable from chance"
    if now["g"] <= 0:
        return f"{said}, so it is not known what more orders or seeds would do."
    more_seeds = reliability(variance, 2 * seeds, orders)["g"]
    if orders == 1:
        return (
            f"{said}. Twice the replicates would give {more_seeds:.3f}; with one order in each, "
            "what the orders and what the seeds do cannot be separated."
        )
    if 2 * orders > variance["possible"].iloc[0]:
        return (
            f"{said}. Twice the seeds would give {more_seeds:.3f}; there are not twice as many "
            "orders."
        )
    more_orders = reliability(variance, seeds, 2 * orders)["g"]
    advice = "more orders and more seeds are worth the same"
    if more_seeds - more_orders >= NOTHING:
        advice = "new seeds, with orders of their own, are worth more than more orders in a seed"
    elif more_orders - more_seeds >= NOTHING:
        advice = "more orders in a seed are worth more than new seeds"
    return (
        f"{said}. Twice the orders per seed would give {more_orders:.3f}, twice the seeds "
        f"{more_seeds:.3f}: {advice}."
    )
