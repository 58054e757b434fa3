"""Counts how balanced orders are: positions of tasks, direct successions, precedences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.orders.order import Order


@dataclass(frozen=True, eq=False)
class Balance:
    """Counts over some orders of T tasks, at most L in one order."""

    tasks: tuple[str, ...]
    positions: np.ndarray
    """int [T, L]: how often task i is at position k."""
    successions: np.ndarray
    """int [T, T]: how often task j comes directly after task i."""
    precedences: np.ndarray
    """int [T, T]: how often task i comes anywhere before task j."""

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Returns the smallest and the largest count of each kind; (0, 0) where there is none."""
        pairs = ~np.eye(len(self.tasks), dtype=bool)
        counts = {
            "positions": self.positions.ravel(),
            "successions": self.successions[pairs],
            "precedences": self.precedences[pairs],
        }
        return {
            kind: (min(some.tolist(), default=0), max(some.tolist(), default=0))
            for kind, some in counts.items()
        }


def balance(orders: Sequence[Order], tasks: Sequence[str] | None = None) -> Balance:
    """Counts positions, successions and precedences.

    Args:
        orders: One or more, of any lengths.
        tasks: The tasks to count; those in `orders`, sorted, by default.
    """
    names = tuple(tasks or sorted({task for order in orders for task in order}))
    number = {task: i for i, task in enumerate(names)}
    size, length = len(names), max(map(len, orders))
    positions = np.zeros((size, length), int)
    successions, precedences = np.zeros((2, size, size), int)
    for order in orders:
        row = np.array([number[task] for task in order])
        positions[row, np.arange(len(row))] += 1
        successions[row[:-1], row[1:]] += 1
        precedences[np.ix_(row, row)] += np.tri(len(row), k=-1, dtype=int).T
    return Balance(names, positions, successions, precedences)


def ranges(blocks: Iterable[Sequence[Order]], tasks: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Returns the smallest and the largest count inside any block, of each kind."""
    found = [balance(block, tasks).ranges() for block in blocks]
    return {
        kind: (min(each[kind][0] for each in found), max(each[kind][1] for each in found))
        for kind in found[0]
    }


def sentence(counts: dict[str, tuple[int, int]]) -> str:
    """Returns what `ranges` found, as a sentence."""
    times = {kind: _times(*bounds) for kind, bounds in counts.items()}
    return (
        f"In a replicate each task is {times['positions']} at every position, "
        f"{times['successions']} directly after every other, "
        f"{times['precedences']} before every other."
    )


def _times(low: int, high: int) -> str:
    if low < high:
        return f"{low} to {high} times"
    return "once" if low == 1 else f"{low} times"
