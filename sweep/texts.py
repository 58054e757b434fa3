"""Formats durations, sizes and paths for people to read."""

import os


def duration(seconds: float) -> str:
    """Returns seconds in the units that people use.

    >>> duration(45), duration(12_000)
    ('45 s', '3 h 20 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def size(count: int) -> str:
    """Returns bytes in the units that people use.

    >>> size(1_234_000)
    '1.23 MB'
    """
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun.

    >>> plural(1, "order"), plural(1200, "run")
    ('1 order', '1,200 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(path: str) -> str:
    """Returns a path as it can be printed, even if its name is not valid UTF-8.

    >>> printable("caf" + chr(0xDCE9)) == "caf" + chr(0xFFFD)
    True
    """
    return os.fsencode(path).decode(errors="replace")
