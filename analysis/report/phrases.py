"""Numbers as the report writes them."""

from collections.abc import Sequence

import numpy as np

NOTHING = 5e-4
"""Differences below this read as 0.000."""


def interval(mean: float, low: float, high: float, sign: str = "") -> str:
    """Returns a mean with its interval, if there is one; `sign` "+" for differences."""
    bounds = f" [{low:{sign}z.3f}, {high:{sign}z.3f}]" if np.isfinite(low) else ""
    return f"{mean:{sign}z.3f}{bounds}"


def listed(names: Sequence[object]) -> str:
    """Returns names as a sentence lists them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last


def perhaps_none(value: float, low: float, high: float) -> str:
    """Returns a standard deviation with its interval, or what it is below where it may be 0.

    >>> perhaps_none(0.0, 0.0, 0.0312), perhaps_none(0.021, 0.0104, 0.0553)
    ('not distinguishable from 0, below 0.032', '0.021 [0.010, 0.055]')
    """
    if not np.isfinite(high):
        return "not distinguishable from 0" if value < NOTHING else f"{value:.3f}"
    if low >= NOTHING or high < NOTHING:
        return interval(value, low, high)
    return f"not distinguishable from 0, below {rounded_up(high):.3f}"


def rounded_up(bound: float) -> float:
    """Returns an upper bound with three digits, so that it stays one.

    >>> rounded_up(0.0312)
    0.032
    """
    return float(np.ceil(bound * 1000 - 1e-9) / 1000)


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def number(count: int) -> str:
    """Returns a count with its thousands apart."""
    return f"{count:,}".replace(",", "\u202f")
