"""Draws orders whose neighbours have a chosen similarity.

The controlled quantity is the mean similarity of neighbours, s(pi) = mean of S[pi_k, pi_(k+1)]. A
level is a quantile of its distribution under uniform orders, so that it means the same in every
benchmark; a band lies between two levels. Orders contain all tasks, or some of a pool, of which
certain tasks may be in every order. They are drawn uniformly from a band:

    few orders in all   from the list of all orders in the band (8 tasks have few);
    more                by rejection, from 100 000 uniform orders;
    thin bands of more  by Metropolis chains, one per order: symmetric moves (swap two tasks of the
                        pool, reverse a part, put a task elsewhere), accepted whenever they do not
                        lead away from the band. Once inside, a chain is uniform over what its moves
                        can reach there.

In low and high bands the ends are far from uniform, and the task learnt last is forgotten least.
So more orders are drawn than needed, and those with the best balance of first and last tasks are
kept; the interior of an order does not matter for this choice.
"""

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from sweep.errors import InputError
from sweep.similarity.order_scores import adjacent

LISTED = 40_320
"""Most orders to list one by one: as many as eight tasks have."""
DRAWS = 100_000
"""Uniform orders drawn where there are too many to list."""
CANDIDATES = 20
"""Orders drawn for each one that is kept."""
MOVES = 100
"""Moves of a chain per task."""
TINY = 1e-9
"""Tolerance for similarities at the bounds of a band, for rounding."""

Band = tuple[float, float]
"""Two levels, 0 <= low < high <= 1."""


class NullLaw:
    """Uniform orders, all or a sample, with the mean similarity of their neighbours.

    Attributes:
        complete: whether these are all orders.
        orders: int [m, size].
        values: float [m].
    """

    def __init__(self, S: np.ndarray, size: int | None = None, held: Sequence[int] = ()) -> None:
        """Lists or draws orders.

        Args:
            S: Similarities in the pool, float [T, T].
            size: Tasks of an order; T by default.
            held: Tasks that every order contains.
        """
        self.S, self.size, self.held = S, size or len(S), np.array(held, int)
        self.complete = math.perm(len(S), self.size) <= LISTED
        if self.complete:
            every = np.array(list(permutations(range(len(S)), self.size)))
            self.orders = every[(every[:, :, None] == self.held).any(axis=1).all(axis=1)]
        else:  # a fixed seed, since levels must be the same in every replicate
            self.orders = self.draw(DRAWS, np.random.default_rng(0))[:, : self.size]
        self.values = adjacent(S, self.orders)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns uniform orders, each followed by the tasks that it leaves out: int [count, T]."""
        free = np.setdiff1d(np.arange(len(self.S)), self.held)
        rows = rng.permuted(np.tile(free, (count, 1)), axis=1)
        rows = np.hstack([np.tile(self.held, (count, 1)), rows])
        rows[:, : self.size] = rng.permuted(rows[:, : self.size], axis=1)
        return rows

    def bounds(self, band: Band) -> tuple[float, float]:
        """Returns the similarities between which a band lies; infinite at the levels 0 and 1."""
        low, high = np.quantile(self.values, band)
        # Sums of the same numbers in a different sequence differ in their last bits.
        return (low - TINY if band[0] > 0 else -np.inf, high + TINY if band[1] < 1 else np.inf)

    def off(self, rows: np.ndarray, low: float, high: float) -> np.ndarray:
        """Returns how far rows of `draw` are from the band; 0 inside, infinite if no orders."""
        values = adjacent(self.S, rows[:, : self.size])
        without = (rows[:, self.size :, None] == self.held).any(axis=(1, 2))
        return np.where(without, np.inf, np.maximum(0.0, np.maximum(low - values, values - high)))


def draw_band(law: NullLaw, band: Band, number: int, rng: np.random.Generator) -> np.ndarray:
    """Returns different orders, uniform over a band: int [k, size], k <= number.

    Fewer than `number` only if the band has no more, or if the chains find no more.
    """
    low, high = law.bounds(band)
    if law.complete:
        inside = law.orders[(low <= law.values) & (law.values <= high)]
        return np.asarray(rng.permutation(inside)[:number])
    rows = law.draw(DRAWS, rng)
    inside = _different(rows[law.off(rows, low, high) == 0, : law.size])
    if len(inside) >= number:
        return inside[:number]
    return _different(_walk(law, rows[:number], low, high, rng)[:, : law.size])


def _walk(
    law: NullLaw, rows: np.ndarray, low: float, high: float, rng: np.random.Generator
) -> np.ndarray:
    """Returns where a chain from each row ends, without those that never reach the band."""
    count, length = rows.shape
    place = np.arange(length)
    off = law.off(rows, low, high)
    for _ in range(MOVES * length):
        i, j = rng.integers(length, size=(2, count, 1))
        between = (np.minimum(i, j) <= place) & (place <= np.maximum(i, j))
        swapped = np.where(place == i, j, np.where(place == j, i, place))
        mirrored = np.where(between, i + j - place, place)
        inserted = np.where(place == j, i, np.where(between, place + np.sign(j - i), place))
        moved = np.choose(rng.integers(3, size=(count, 1)), [swapped, mirrored, inserted])
        proposed = np.take_along_axis(rows, moved, axis=1)
        proposed_off = law.off(proposed, low, high)
        accepted = proposed_off <= off
        rows = np.where(accepted[:, None], proposed, rows)
        off = np.where(accepted, proposed_off, off)
    reached: np.ndarray = rows[off == 0]
    return reached


def _different(orders: np.ndarray) -> np.ndarray:
    """Returns every order once, in the sequence of first appearance."""
    _, first = np.unique(orders, axis=0, return_index=True)
    return orders[np.sort(first)]


def balance_ends(candidates: np.ndarray, number: int) -> np.ndarray:
    """Returns `number` orders whose first and last tasks are spread evenly: int [number, T].

    Starts with the first ones and exchanges one order at a time, as long as that lowers the sum of
    squared counts of first and of last tasks.
    """
    size = int(candidates.max()) + 1
    ends = np.zeros((len(candidates), 2 * size), int)  # one-hot: first task, last task
    ends[np.arange(len(candidates)), candidates[:, 0]] = 1
    ends[np.arange(len(candidates)), size + candidates[:, -1]] = 1
    kept = np.zeros(len(candidates), bool)
    kept[:number] = True
    while True:
        counts = ends[kept].sum(axis=0)
        out, come = np.flatnonzero(kept), np.flatnonzero(~kept)
        # |counts - out + come|^2 - |counts|^2, for every pair
        leaving = 2 - 2 * ends[out] @ counts
        coming = 2 + 2 * ends[come] @ counts
        change = leaving[:, None] + coming[None, :] - 2 * ends[out] @ ends[come].T
        if change.size == 0 or change.min() >= 0:
            return candidates[kept]
        worst, best = np.unravel_index(change.argmin(), change.shape)
        kept[out[worst]], kept[come[best]] = False, True


def orders_in_band(law: NullLaw, band: Band, number: int, rng: np.random.Generator) -> np.ndarray:
    """Returns different orders of a band, with balanced ends: int [number, size].

    Raises:
        InputError: fewer orders were found in the band.
    """
    candidates = draw_band(law, band, CANDIDATES * number, rng)
    if len(candidates) < number:
        raise InputError(
            f"only {len(candidates)} orders of {law.size} tasks were found in the similarity band "
            f"from {band[0]:g} to {band[1]:g}, but the design needs {number}; widen the band."
        )
    return balance_ends(candidates, number)
