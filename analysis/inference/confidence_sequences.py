"""How many replicates are enough: intervals that may be looked at after each of them.

A t interval is valid for a number of replicates that was fixed beforehand. A study that looks after
every replicate, and may stop at each look, has as many chances to be wrong as it looks. A
confidence sequence is valid at all looks together, whatever the reason to stop.

The one used is Lai's (1976, Ann. Statist. 4, 265-280; for a proof by an extended Ville inequality
see Wang & Ramdas 2023, arXiv 2310.03722). It is exact for independent normal values of unknown
variance, from FIRST_LOOK values on, and for as few values as a study has it is narrower than the
mixtures with a normal prior of the second paper. Replicates are independent by design, and their
means are averages over a block of orders; `benchmarks/stopping.py` measures what is left of the
promise where they are not normal.
"""

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats

from analysis.inference.intervals import LEVEL, Interval, t_interval
from analysis.inference.replicates import are_complete, complete_replicates, paired

FIRST_LOOK = 4
"""Replicates before the first look. The price of looking: from here on the sequence is 1.7 to 1.8
times as wide as a t interval; with a first look after three it would be 1.8 to 2.0 times, and
after two more than 2.5 times."""


def anytime_interval(values: ArrayLike) -> Interval:
    """Returns the 95 % confidence sequence for the mean, after the first n independent values.

    The bounds are NaN for fewer than FIRST_LOOK values.

    >>> found = anytime_interval([0.70, 0.72, 0.69, 0.71])
    >>> round(found.low, 3), round(found.mean, 3), round(found.high, 3)
    (0.671, 0.705, 0.739)
    """
    x = np.asarray(values, float)
    n = len(x)
    mean = float(x.mean()) if n else np.nan
    if n < FIRST_LOOK:
        return Interval(mean, np.nan, np.nan)
    half = anytime_factor(n) * float(x.std(ddof=1))
    return Interval(mean, mean - half, mean + half)


def anytime_factor(n: int) -> float:
    """Returns the half-width of the confidence sequence after n values, in standard deviations.

    sqrt((1 - 1/n) ((b n)^(1/n) - 1)) with b = (1 + a^2 / (m - 1))^m / m; m = FIRST_LOOK, and a
    solves 2 P(t > a) + 2 a f(a) = 5 % for Student's t with m - 1 degrees of freedom and density f.
    Infinite for n < m.

    >>> [round(anytime_factor(n), 2) for n in (3, 4, 10, 100)]
    [inf, 2.64, 1.27, 0.36]
    """
    if n < FIRST_LOOK:
        return np.inf
    exponent = (_log_b(FIRST_LOOK, LEVEL) + np.log(n)) / n
    return float(np.sqrt((1 - 1 / n) * np.expm1(exponent)))


@cache
def _log_b(first: int, level: float) -> float:
    """Returns the logarithm of b."""
    law = stats.t(first - 1)

    def error(a: float) -> float:
        return float(2 * law.sf(a) + 2 * a * law.pdf(a) - (1 - level))

    a = optimize.brentq(error, 1.0, 1e6)
    return float(first * np.log1p(a**2 / (first - 1)) - np.log(first))


def block_means(runs: pd.DataFrame, metric: str, baseline: str | None = None) -> pd.DataFrame:
    """Returns the values that intervals rest on: the means of complete replicates.

    Args:
        runs: what `metrics` returns.
        metric: a column of it.
        baseline: of whose runs on the same orders the difference is taken, if given.

    Returns:
        Index: replicate; columns: (backbone, method). NaN where a replicate is not complete.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> block_means(runs, "average_accuracy").round(3)
    backbone      clip
    method    finetune replay
    replicate
    0            0.583  0.734
    1            0.587  0.739
    2            0.590  0.744
    3            0.595  0.750
    """
    values = runs if baseline is None else paired(runs, baseline)
    found = {}
    for pair, group in values.dropna(subset=metric).groupby(["backbone", "method"]):
        used = complete_replicates(group)
        if are_complete(used):
            found[pair] = used.groupby("replicate")[metric].mean()
    columns = pd.MultiIndex.from_tuples(list(found), names=["backbone", "method"])
    return pd.DataFrame(found, columns=columns).sort_index()


def stopping_point(means: pd.DataFrame, half_width: float) -> int | None:
    """Returns the number of replicates after which all contrasts are known; None: not yet.

    The answer does not change when more replicates are added, so it can be found again at any
    time.

    Args:
        means: a column per contrast, a row per replicate, from replicate 0 on without gaps; NaN
            where a replicate is not complete.
        half_width: of the confidence sequence, in the unit of the means; it has to be below.

    >>> from analysis import block_means, metrics, tiny_study
    >>> means = block_means(metrics(tiny_study(6)), "average_accuracy")
    >>> stopping_point(means, half_width=0.05)
    4
    """
    for n in range(FIRST_LOOK, len(means) + 1):
        looked = [anytime_interval(means[c].iloc[:n].dropna()) for c in means.columns]
        if looked and all(found.high - found.mean < half_width for found in looked):
            return n
    return None


def convergence(
    means: pd.DataFrame, limits: tuple[float, float] = (-np.inf, np.inf)
) -> pd.DataFrame:
    """Returns what was known after every replicate.

    Args:
        means: what `block_means` returns.
        limits: what the means can be, see `Metric.limits`; intervals are cut off there.

    Returns:
        One row per (backbone, method, replicates): mean, low, high (t interval, for a number of
        replicates fixed beforehand), anytime_low, anytime_high (confidence sequence).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> found = convergence(block_means(runs, "average_accuracy"))
    >>> found[["replicates", "mean", "low", "high"]].round(3).head(3)
       replicates   mean    low   high
    0           1  0.583    NaN    NaN
    1           2  0.585  0.561  0.610
    2           3  0.587  0.578  0.596
    """
    rows = []
    for pair, column in zip(means.columns, means.to_numpy().T, strict=True):
        values = column[~np.isnan(column)]
        for n in range(1, len(values) + 1):
            head = {"backbone": pair[0], "method": pair[1], "replicates": n}
            _, low, high = anytime_interval(values[:n]).inside(*limits)
            known = t_interval(values[:n]).inside(*limits)._asdict()
            rows.append(head | known | {"anytime_low": low, "anytime_high": high})
    names = ["backbone", "method", "replicates", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "anytime_low", "anytime_high"])
