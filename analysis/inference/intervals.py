"""Intervals for means over independent values, such as replicates."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
"""Of every interval."""


class Interval(NamedTuple):
    """Holds a mean with its interval."""

    mean: float
    low: float
    high: float

    def only_if(self, is_known: bool) -> "Interval":
        """Returns itself if it is known, else the mean without bounds."""
        return self if is_known else self._replace(low=np.nan, high=np.nan)


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


def positive_interval(values: ArrayLike) -> Interval:
    """Returns the mean of m positive values with skewed spread, such as variances or ranges.

    With L the logarithms and v their variance, the bounds are those of the mean of a log-normal
    law, exp(mean L + v/2 +- t_(m-1) sqrt(v/m + v^2 / (2 (m+1)))) (Cox's method; Olsson 2005). The
    mean is the plain one. The bounds are NaN for fewer than two values, or for one that is 0.
    """
    x = np.asarray(values, float)
    mean = float(x.mean()) if len(x) else np.nan
    if len(x) < 2 or not (x > 0).all():
        return Interval(mean, np.nan, np.nan)
    logs = np.log(x)
    v = logs.var(ddof=1)
    quantile = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1)
    half = quantile * np.sqrt(v / len(x) + v**2 / (2 * (len(x) + 1)))
    centre = logs.mean() + v / 2
    return Interval(mean, float(np.exp(centre - half)), float(np.exp(centre + half)))


def without_rounding(differences: np.ndarray) -> np.ndarray:
    """Returns differences, 0 where only the rounding of equal numbers is left."""
    cleaned: np.ndarray = np.where(np.abs(differences) < 1e-12, 0, differences)
    return cleaned


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Returns Pearson's r."""
    return float(np.corrcoef(x, y)[0, 1])
