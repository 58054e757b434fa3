"""What every reader of a format is given, and what it returns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Protocol

import numpy as np

from analysis.data.accuracy_matrices import MatrixRun
from analysis.data.formats.cells import cells_of


@dataclass(frozen=True)
class GivenFile:
    """Holds the content of a file: its text, or what a binary file holds."""

    name: str
    """What errors call it."""
    text: str = ""
    table: list[list[str]] | None = None
    """The cells of a file that is no text."""
    arrays: list[np.ndarray] = field(default_factory=list)

    @cached_property
    def cells(self) -> list[list[str]]:
        """Returns the cells of a table, without blanks around them; the header is the first row."""
        return cells_of(self.text) if self.table is None else self.table


@dataclass(frozen=True)
class Wanted:
    """Holds what the caller says about a file, beside its format (see `read_matrices`)."""

    order: tuple[str, ...] | None = None
    method: str | None = None
    backbone: str | None = None
    layout: str = "auto"
    first_stage: int | None = None


@dataclass(frozen=True)
class Reading:
    """Holds the runs of a file, and what must be said about how they were read."""

    runs: list[MatrixRun]
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads one format."""

    def __call__(self, given: GivenFile, wanted: Wanted) -> Reading:
        """Returns the runs in a file.

        Raises:
            ValueError: the file is not what the format says.
        """


def named(order: Sequence[str] | None, count: int, file: str) -> tuple[str, ...]:
    """Returns the names of the tasks in learning order, for a file that numbers them.

    Raises:
        ValueError: there is no order, or one of another length.
    """
    if order is None:
        raise ValueError(
            f"'{file}' does not name its {count} tasks; give their names in learning order "
            f"(order=[...], or --order A,B)."
        )
    if len(order) != count:
        raise ValueError(f"'{file}' holds {count} tasks, but the order names {len(order)}.")
    return tuple(order)


def name_of(said: Iterable[str], wanted: str | None, kind: str, file: str) -> str | None:
    """Returns the name to use instead of the one that a file says, if one is wanted.

    Args:
        said: the names that the file says.
        wanted: the name that the caller wants.
        kind: what it is the name of.
        file: what errors call the file.

    Raises:
        ValueError: the file says several names, so one name would make one of what is several.
    """
    names = sorted({name for name in said if name})
    if wanted is not None and len(names) > 1:
        raise ValueError(
            f"'{file}' holds several {kind}s ({', '.join(names)}), which cannot all be called "
            f"'{wanted}'; leave {kind} out."
        )
    return wanted


def unknown_task(task: str, known: Iterable[str], where: str) -> ValueError:
    """Returns the error for a task that is not among those it must be one of."""
    names = list(dict.fromkeys(known))
    near = get_close_matches(task, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ValueError(f"Unknown task '{task}' {where}; known are: {', '.join(names)}.{hint}")


def padded(rows: Sequence[Sequence[float]], tasks: int, start: bool = False) -> np.ndarray:
    """Returns rows as R [tasks + 1, tasks], NaN where they end early.

    Args:
        rows: one per stage.
        tasks: how many there are.
        start: whether the first row is the untouched backbone.
    """
    R = np.full((tasks + 1, tasks), np.nan)
    for k, row in enumerate(rows, 0 if start else 1):
        R[k, : len(row)] = row
    return R
