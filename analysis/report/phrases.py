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


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def number(count: int) -> str:
    """Returns a count with its thousands apart."""
    return f"{count:,}".replace(",", "\u202f")
