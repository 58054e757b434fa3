"""Defines what an order is, and how the command line writes one."""

import csv
import io
import re
from collections.abc import Sequence

Order = tuple[str, ...]
"""Names of tasks, in the order in which they are learnt."""


def write_order(order: Sequence[str]) -> str:
    """Returns an order as one line of CSV: names with commas stand in quotes.

    >>> write_order(["cats", "dogs, big"])
    'cats,"dogs, big"'
    """
    line = io.StringIO()
    dialect = "unix" if any(">" in name for name in order) else "excel"  # unix quotes all names
    csv.writer(line, dialect, lineterminator="\n").writerow(order)
    return line.getvalue().removesuffix("\n")


def read_order(text: str) -> Order:
    """Returns the inverse of `write_order`; spaces around names do not count.

    Without commas and quotes it may also be written as reports write it.

    >>> read_order('cats, "dogs, big"'), read_order("cats > dogs")
    (('cats', 'dogs, big'), ('cats', 'dogs'))
    """
    if ">" in text and not re.search('[,"]', text):
        return tuple(name.strip() for name in text.split(">"))
    lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    return tuple(name.strip() for line in lines for name in line)
