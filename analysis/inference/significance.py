"""Tests of mean differences over replicates, and what to make of many of them."""

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

EXACT = 12
"""Replicates up to which all sign flips are enumerated."""
FLIPS = 4095
"""Random sign flips beyond."""


def significance(differences: pd.DataFrame) -> pd.DataFrame:
    """Returns four p values per column of differences [replicates, comparisons] without gaps.

    Returns:
        Indexed by the columns: p (two-sided t test over replicates), p_holm (the same after
        Holm's correction for all columns), p_max_t (see `max_t`), p_wilcoxon (signed ranks over
        replicates, exact). NaN for fewer than two replicates. With B replicates neither p_max_t
        nor p_wilcoxon can be below 2 / 2^B.
    """
    names = ["p", "p_holm", "p_max_t", "p_wilcoxon"]
    if len(differences) < 2:
        return pd.DataFrame(np.nan, differences.columns, names)
    d = differences.to_numpy(float)
    p = 2 * stats.t.sf(np.abs(_t(d)), len(d) - 1)
    wilcoxon = np.array([float(stats.wilcoxon(x).pvalue) if x.any() else 1.0 for x in d.T])
    values = np.column_stack([p, holm(p), max_t(d), wilcoxon])
    return pd.DataFrame(values, differences.columns, names)


def holm(p: ArrayLike) -> np.ndarray:
    """Returns Holm's step-down p values, which control the family-wise error of any tests."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def max_t(differences: ArrayLike) -> np.ndarray:
    """Returns Westfall-Young p values of all columns, from flips of the signs of replicates.

    Under the null hypothesis a replicate's differences are as likely with their signs changed,
    all columns together. |t| of a column is compared with the law of the largest |t| under such
    flips, so the family-wise error is controlled with the columns' real correlation. Exact up to
    EXACT replicates; with FLIPS random flips beyond.

    Args:
        differences: [replicates, columns].
    """
    d = np.asarray(differences, float)
    if len(d) <= EXACT:
        flips = np.array(list(product((1, -1), repeat=len(d))))
    else:
        flips = np.random.default_rng(0).choice((1, -1), (FLIPS, len(d)))
        flips = np.vstack([np.ones_like(flips[:1]), flips])
    largest = np.array([np.abs(_t(flip[:, None] * d)).max() for flip in flips])
    # The same sum with other signs may differ in its last bits; that must not count as less.
    observed = np.abs(_t(d)) * (1 - 1e-9)
    shares: np.ndarray = (largest[:, None] >= observed).mean(axis=0)
    return shares


def _t(d: np.ndarray) -> np.ndarray:
    """Returns Student's t of every column: 0 when all is 0, infinite when all are the same."""
    mean, error = d.mean(axis=0), d.std(axis=0, ddof=1) / np.sqrt(len(d))
    error = np.where(error < 1e-12, 0, error)  # rounding of equal differences
    with np.errstate(divide="ignore", invalid="ignore"):
        t: np.ndarray = np.where(np.abs(mean) < 1e-15, 0, mean / error)
    return t


def verdict(low: float, high: float, rope: float) -> str:
    """Returns what the interval of a gain says, "better", "worse", "equivalent" or "undecided".

    Gains between -rope and rope do not matter in practice (region of practical equivalence). The
    verdict falls only when the whole interval is on one side of a bound, or inside both.
    """
    if low > rope:
        return "better"
    if high < -rope:
        return "worse"
    return "equivalent" if -rope <= low and high <= rope else "undecided"


def probability_inside(mean: float, low: float, high: float, replicates: int, rope: float) -> float:
    """Returns P(|difference| < rope) under the t law that the 95 % interval belongs to."""
    if np.isnan(low):
        return np.nan
    scale = (high - low) / 2 / stats.t.ppf(0.975, replicates - 1)
    if scale < 1e-15:
        return float(abs(mean) < rope)
    law = stats.t(replicates - 1, loc=mean, scale=scale)
    return float(law.cdf(rope) - law.cdf(-rope))
