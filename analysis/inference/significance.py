"""Tests of mean differences over replicates, and what to make of many of them.

All methods that are compared with one baseline in one metric are a family. Its verdicts come from
one procedure, Holm's (1979) step-down on paired t tests over replicates, and so do the p value and
the interval that stand beside a verdict: some verdict of a family is wrong in at most 5 % of
studies, p is below 5 % exactly where the verdict is "better" or "worse", and the interval lies
beyond what does not matter exactly there. t tests, because they are the ones with any power for the
three to eight replicates that a study has: exact sign flips of B replicates cannot give a p below
2 / 2^B (see `fewest_flips`). Step-down rather than the joint intervals of Bonferroni: with three
replicates these are 2.1 times as wide as a single one for four comparisons, 3.3 times for ten;
step-down asks that of the clearest difference only. Its intervals therefore hold 95 % each, and not
jointly (`tests/analysis/test_verdicts.py` simulates how often some verdict is wrong).
"""

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from analysis.inference.intervals import LEVEL

EXACT = 12
"""Replicates up to which all sign flips are enumerated."""
FLIPS = 4095
"""Random sign flips beyond."""
SAME = 1e-12
"""Standard errors below are the rounding of equal differences."""
TESTS = ["p", "p_holm", "p_max_t", "p_wilcoxon"]
VERDICTS = ["verdict", "p_verdict", "verdict_low", "verdict_high"]


def significance(differences: pd.DataFrame) -> pd.DataFrame:
    """Returns four p values per column of differences [replicates, comparisons].

    Args:
        differences: NaN where a comparison lacks a replicate; every comparison is tested on the
            replicates that it has.

    Returns:
        Indexed by the columns: p (two-sided t test over replicates), p_holm (the same after
        Holm's correction for all columns), p_max_t (see `max_t`), p_wilcoxon (signed ranks over
        replicates, exact). NaN for fewer than two replicates. With B replicates neither p_max_t
        nor p_wilcoxon can be below 2 / 2^B.
    """
    found = pd.DataFrame(np.nan, differences.columns, TESTS)
    tested = (differences.notna().sum() >= 2).to_numpy()
    if not tested.any():
        return found
    d = differences.to_numpy(float)[:, tested]
    p = 2 * stats.t.sf(np.abs(_t(d)), (~np.isnan(d)).sum(axis=0) - 1)
    ranks = [_wilcoxon(x[~np.isnan(x)]) for x in d.T]
    found.loc[tested] = np.column_stack([p, holm(p), max_t(d), ranks])
    return found


def verdicts(differences: pd.DataFrame, rope: float) -> pd.DataFrame:
    """Returns what a family of gains amounts to: every verdict with its p value and interval.

    Gains between -rope and rope do not matter in practice (region of practical equivalence). A
    gain is "better" or "worse" when its interval lies on one side of that region, "equivalent"
    when it lies inside, otherwise "undecided". The K intervals are t intervals over replicates,
    of level 1 - 5 % / K for the clearest better or worse, 1 - 5 % / (K - 1) for the next, and so
    on; all others have the level at which the first of them failed.

    Args:
        differences: gains [replicates, comparisons], positive = better; NaN where a comparison
            lacks a replicate.
        rope: gains up to this do not matter.

    Returns:
        Indexed by the columns: verdict, p_verdict (of a gain that does not matter, after Holm's
        correction: below 5 % exactly for "better" and "worse"), verdict_low, verdict_high (that
        interval, 95 % or more for each of them). With fewer than two replicates the verdict is
        "undecided" and all else NaN.

    >>> gains = pd.DataFrame({"ewc": [0.03, 0.04, 0.05], "lwf": [0.00, 0.05, 0.01]})
    >>> verdicts(gains, rope=0.0).round(3)
           verdict  p_verdict  verdict_low  verdict_high
    ewc     better      0.040        0.004         0.076
    lwf  undecided      0.321       -0.046         0.086
    """
    found = pd.DataFrame(np.nan, differences.columns, VERDICTS).astype({"verdict": object})
    found["verdict"] = "undecided"
    sizes = differences.notna().sum()
    tested = (sizes >= 2).to_numpy()
    if not tested.any():
        return found
    d, n = differences.to_numpy(float)[:, tested], sizes.to_numpy()[tested]
    mean, error = _estimates(d)
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(np.abs(mean) > rope, (np.abs(mean) - rope) / error, 0)
    p = np.asarray(2 * stats.t.sf(beyond, n - 1))
    half = stats.t.isf(holm_levels(p) / 2, n - 1) * error
    low, high = mean - half, mean + half
    words = [verdict(*bounds, rope) for bounds in zip(low, high, strict=True)]
    found.loc[tested, "verdict"] = words
    found.loc[tested, VERDICTS[1:]] = np.column_stack([holm(p), low, high])
    return found


def holm_levels(p: np.ndarray) -> np.ndarray:
    """Returns the error that Holm's procedure allows each interval, from uncorrected p values.

    Equal p values get the same.
    """
    K, decided = len(p), int((holm(p) < 1 - LEVEL).sum())
    steps = stats.rankdata(p, method="min").astype(int) - 1
    levels: np.ndarray = (1 - LEVEL) / (K - np.minimum(steps, min(decided, K - 1)))
    return levels


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
        differences: [replicates, columns], at least two replicates per column; NaN = none.
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


def fewest_flips(p: float = 1 - LEVEL) -> int:
    """Returns the number of replicates from which on exact sign flips can reach a p value.

    >>> fewest_flips(0.05), 2 / 2**6
    (6, 0.03125)
    """
    return int(np.ceil(1 - np.log2(p)))


def _wilcoxon(x: np.ndarray) -> float:
    return float(stats.wilcoxon(x).pvalue) if x.any() else 1.0


def _estimates(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard error of every column; NaN = no such replicate."""
    n = (~np.isnan(d)).sum(axis=0)
    mean, error = np.nanmean(d, axis=0), np.nanstd(d, axis=0, ddof=1) / np.sqrt(n)
    return mean, np.where(error < SAME, 0, error)


def _t(d: np.ndarray) -> np.ndarray:
    """Returns Student's t of every column: 0 when all is 0, infinite when all are the same."""
    mean, error = _estimates(d)
    with np.errstate(divide="ignore", invalid="ignore"):
        t: np.ndarray = np.where(np.abs(mean) < 1e-15, 0, mean / error)
    return t


def verdict(low: float, high: float, rope: float) -> str:
    """Returns what the interval of a gain says, see `verdicts`."""
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
