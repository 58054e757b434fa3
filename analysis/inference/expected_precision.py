"""What more replicates would buy, going by those that are there."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference.intervals import LEVEL

MOST = 100_000
"""Replicates at which the search ends: more than any study can pay for."""


def t_factor(n: int, error: float = 1 - LEVEL) -> float:
    """Returns the half-width of the t interval for a mean of n values, in standard deviations.

    >>> round(t_factor(4), 2), round(t_factor(4, error=0.01), 2)
    (1.59, 2.92)
    """
    return float(stats.t.isf(error / 2, n - 1) / np.sqrt(n)) if n > 1 else np.inf


def precision(
    means: pd.DataFrame, replicates: Iterable[int], factor: Callable[[int], float] = t_factor
) -> pd.DataFrame:
    """Returns the half-widths that so many replicates can be expected to give.

    Args:
        means: what `stopping.block_means` returns.
        replicates: numbers of them to look at.
        factor: half-width in standard deviations; of t intervals, or `stopping.anytime_factor`.

    Returns:
        One row per (backbone, method, replicates) with at least two replicates to go by: known
        (how many these are), sd (of their means), sd_low, sd_high (its 95 % interval for normal
        means: from a few replicates a standard deviation is only roughly known), half_width.

    >>> from analysis import block_means, metrics, tiny_study
    >>> means = block_means(metrics(tiny_study()), "average_accuracy")
    >>> precision(means, [4, 16])[["method", "replicates", "half_width"]].round(4)
         method  replicates  half_width
    0  finetune           4      0.0078
    1  finetune          16      0.0026
    2    replay           4      0.0106
    3    replay          16      0.0036
    """
    sizes, rows = list(replicates), []
    for pair, column in zip(means.columns, means.to_numpy().T, strict=True):
        values = column[~np.isnan(column)]
        known = len(values)
        if known < 2:
            continue
        sd = float(values.std(ddof=1))
        low, high = (
            sd * np.sqrt((known - 1) / stats.chi2.ppf(tail, known - 1))
            for tail in ((1 + LEVEL) / 2, (1 - LEVEL) / 2)
        )
        head = {"backbone": pair[0], "method": pair[1], "known": known}
        head |= {"sd": sd, "sd_low": low, "sd_high": high}
        rows += [head | {"replicates": n, "half_width": sd * factor(n)} for n in sizes]
    names = ["backbone", "method", "replicates", "half_width", "known", "sd", "sd_low", "sd_high"]
    return pd.DataFrame(rows, columns=names)


def replicates_for(
    half_width: float, sd: float, factor: Callable[[int], float] = t_factor
) -> int | None:
    """Returns the least number of replicates with an expected half-width below; None: over MOST.

    Args:
        half_width: in the unit of the metric.
        sd: of replicate means.
        factor: half-width in standard deviations by number of replicates; it has to fall.

    >>> replicates_for(half_width=0.01, sd=0.02)
    18
    """
    target = half_width / sd if sd else np.inf
    low, high = 1, 2
    while factor(high) >= target:
        low, high = high, 2 * high
        if low > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if factor(middle) < target else (middle, high)
    return high
