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


def either(names: Sequence[object]) -> str:
    """Returns names as a sentence offers them.

    >>> either(["a", "b", "c"])
    'a, b or c'
    """
    *first, last = map(str, names)
    return f"{', '.join(first)} or {last}" if first else last


def bold(names: Sequence[str], most: int = 4) -> list[str]:
    """Returns names, emphasised; of more than `most` the first ones, and how many there are.

    >>> bold(["a", "b"]), bold(["a", "b", "c", "d"], most=3)
    (['**a**', '**b**'], ['**a**', '**b**', '2 more'])
    """
    kept = names if len(names) <= most else names[: most - 1]
    rest = [f"{len(names) - len(kept)} more"] if len(kept) < len(names) else []
    return [*(f"**{name}**" for name in kept), *rest]


def about_hours(hours: float) -> str:
    """Returns a span of time, roughly.

    >>> about_hours(0.2), about_hours(1.2), about_hours(30), about_hours(200)
    ('12 minutes', '1.2 hours', '30 hours', '8 days')
    """
    if hours < 0.9:
        return plural(max(1, round(hours * 60)), "minute")
    if hours < 9.5:
        return f"{hours:.1f} hours"
    return plural(round(hours), "hour") if hours < 72 else plural(round(hours / 24), "day")


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
