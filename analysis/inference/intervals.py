"""Intervals for means over independent values, such as replicates."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
"""Of every interval."""
SPAN = 100
"""Bounds of a positive number that are further apart than by this factor are not given."""


class Interval(NamedTuple):
    """Holds a mean with its interval."""

    mean: float
    low: float
    high: float

    def only_if(self, is_known: bool) -> "Interval":
        """Returns itself if it is known, else the mean without bounds."""
        return self if is_known else self._replace(low=np.nan, high=np.nan)

    def inside(self, lowest: float, highest: float) -> "Interval":
        """Returns itself, cut off where the mean cannot be; its coverage stays what it is."""
        low, high = (float(np.clip(bound, lowest, highest)) for bound in self[1:])
        return self._replace(low=low, high=high)


def t_interval(values: ArrayLike) -> Interval:
    """Returns the mean +- t_(m-1) s / sqrt(m) of m independent values, at the 95 % level.

    The bounds are NaN for fewer than two values.

    >>> found = t_interval([0.70, 0.72, 0.69, 0.71])
    >>> round(found.low, 3), round(found.mean, 3), round(found.high, 3)
    (0.684, 0.705, 0.726)
    """
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    quantile = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1)
    half = float(quantile * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)


def clustered_share(hits: ArrayLike, sizes: ArrayLike) -> Interval:
    """Returns a share over m clusters, such as runs of replicates, with its interval.

    That of Clopper and Pearson for a sample of the effective size (Korn & Graubard 1998, Survey
    Methodology 24, 193-201): p (1 - p) over the variance of p, which comes from the spread between
    clusters; n at most, and times (t_(n-1) / t_(m-1))^2 for how little a few clusters say about
    that variance. With few clusters it is wide: three of eight give [0.51, 1] where all are hits.
    NaN for fewer than two clusters.

    Args:
        hits: so many in every cluster.
        sizes: out of so many.

    >>> [round(bound, 2) for bound in clustered_share([8, 8, 8], [8, 8, 8])]
    [1.0, 0.51, 1.0]
    """
    k, n = np.asarray(hits, float), np.asarray(sizes, float)
    m, total = len(k), n.sum()
    p = float(k.sum() / total) if total else np.nan
    if m < 2:
        return Interval(p, np.nan, np.nan)
    variance = m / (m - 1) * ((k - p * n) ** 2).sum() / total**2
    size = min(total, p * (1 - p) / variance) if variance > 0 else total
    few, many = (stats.t.ppf((1 + LEVEL) / 2, df) for df in (m - 1, total - 1))
    size *= (many / few) ** 2
    tail = (1 - LEVEL) / 2
    low = stats.beta.ppf(tail, p * size, (1 - p) * size + 1) if p > 0 else 0.0
    high = stats.beta.isf(tail, p * size + 1, (1 - p) * size) if p < 1 else 1.0
    return Interval(p, float(low), float(high))


def positive_interval(values: ArrayLike) -> Interval:
    """Returns the mean of m positive values with skewed spread, such as variances or ranges.

    The mean is the plain one; the bounds are those of `positive_bounds`.
    """
    x = np.asarray(values, float)
    low, high = positive_bounds(x[:, None])
    return Interval(float(x.mean()) if len(x) else np.nan, float(low[0]), float(high[0]))


def positive_bounds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns bounds for the mean of every column of positive values [m, columns].

    With L the logarithms and v their variance, the bounds are those of the mean of a log-normal
    law, exp(mean L + v/2 +- t_(m-1) sqrt(v/m + v^2 / (2 (m+1)))) (Cox's method; Olsson 2005). NaN
    where there is a value that is not positive, and for fewer than three values: two say so
    little of how much they spread that the bounds would not exclude anything.
    """
    m = len(values)
    nothing = np.full(values.shape[1], np.nan)
    if m < 3:
        return nothing, nothing
    logs = np.log(np.where(values > 0, values, np.nan))
    v = logs.var(axis=0, ddof=1)
    quantile = stats.t.ppf((1 + LEVEL) / 2, m - 1)
    half = quantile * np.sqrt(v / m + v**2 / (2 * (m + 1)))
    centre = logs.mean(axis=0) + v / 2
    return np.exp(centre - half), np.exp(np.minimum(centre + half, 700))  # below infinity


def telling(low: ArrayLike, high: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns bounds of positive numbers, NaN where they are more than a factor SPAN apart.

    Of such an interval nobody learns anything but that the data cannot say.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    said = high <= SPAN * low
    return np.where(said, low, np.nan), np.where(said, high, np.nan)


def variance_bounds(
    total: np.ndarray, part: np.ndarray, df_total: float, df_part: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns bounds of what a variance exceeds another one by, both estimated with chi^2 laws.

    The modified large-sample bounds of Ting, Burdick, Graybill, Jeyaratnam & Lu (1990, J. Statist.
    Comput. Simul. 35, 135-143), exact where one of the two is 0. The lower one is 0 where the
    difference may be none; where the upper one were below 0, it is that of `total` alone.

    Args:
        total: estimates of the larger variance, [columns].
        part: estimates of what it exceeds, [columns].
        df_total: their degrees of freedom.
        df_part: their degrees of freedom.
    """
    upper, lower = (1 + LEVEL) / 2, (1 - LEVEL) / 2
    g1, g2 = (1 - df / stats.chi2.ppf(upper, df) for df in (df_total, df_part))
    h1, h2 = (df / stats.chi2.ppf(lower, df) - 1 for df in (df_total, df_part))
    f, e = (stats.f.ppf(tail, df_total, df_part) for tail in (upper, lower))
    g12 = ((f - 1) ** 2 - (g1 * f) ** 2 - h2**2) / f
    h12 = ((1 - e) ** 2 - (h1 * e) ** 2 - g2**2) / e
    below = (g1 * total) ** 2 + (h2 * part) ** 2 + g12 * total * part
    above = (h1 * total) ** 2 + (g2 * part) ** 2 + h12 * total * part
    low = total - part - np.sqrt(np.maximum(0, below))
    high = total - part + np.sqrt(np.maximum(0, above))
    return np.maximum(0, low), np.where(high > 0, high, (1 + h1) * total)


def without_rounding(differences: np.ndarray) -> np.ndarray:
    """Returns differences, 0 where only the rounding of equal numbers is left."""
    cleaned: np.ndarray = np.where(np.abs(differences) < 1e-12, 0, differences)
    return cleaned


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Returns Pearson's r."""
    return float(np.corrcoef(x, y)[0, 1])
