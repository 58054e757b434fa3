"""Orders whose neighbours are as similar as asked for.

What is controlled is the mean similarity of neighbours, s(pi) = mean of S[pi_k, pi_(k+1)]. A level
is a quantile of its law under uniform orders, so that it means the same in every benchmark; a band
is what lies between two levels. Orders are drawn uniformly from a band:

    up to 8 tasks       from the list of all orders in the band;
    more                by rejection, from 100 000 uniform orders;
    thin bands of more  by Metropolis chains, one per order: symmetric moves (swap two tasks,
                        reverse a part), accepted whenever they do not lead away from the band. Once
                        inside, a chain is uniform over what its moves can reach within the band.

In low and high bands the ends are far from uniform, and the task learnt last is forgotten least.
So more orders are drawn than needed, and those are kept whose first and last tasks are balanced
best; the interior of an order is not looked at.
"""

from itertools import permutations

import numpy as np

from sweep.errors import InputError
from sweep.similarity.scores import adjacent

ENUMERATED = 8
"""Most tasks of which all orders are listed."""
DRAWS = 100_000
CANDIDATES = 20
"""Orders drawn for each one that is kept."""
MOVES = 100
"""Moves of a chain per task."""

Band = tuple[float, float]
"""Two levels, 0 <= low < high <= 1."""


class NullLaw:
    """Uniform orders with the mean similarity of their neighbours: all of them, or a sample."""

    def __init__(self, S: np.ndarray) -> None:
        number = len(S)
        self.complete = number <= ENUMERATED
        if self.complete:
            self.orders = np.array(list(permutations(range(number))))
        else:  # the same for every replicate: levels must not depend on the seed
            rows = np.tile(np.arange(number), (DRAWS, 1))
            self.orders = np.random.default_rng(0).permuted(rows, axis=1)
        self.values = adjacent(S, self.orders)

    def bounds(self, band: Band) -> tuple[float, float]:
        """The similarities between which a band lies; without end at the levels 0 and 1."""
        low, high = np.quantile(self.values, band)
        return (low if band[0] > 0 else -np.inf, high if band[1] < 1 else np.inf)


def draw_band(
    S: np.ndarray, law: NullLaw, band: Band, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Different orders, uniform over those in a band: int [k, T], k <= number.

    Fewer than `number` only if the band holds no more, or if chains find no more.
    """
    low, high = law.bounds(band)
    if law.complete:
        inside = law.orders[(low <= law.values) & (law.values <= high)]
        return np.asarray(rng.permutation(inside)[:number])
    rows = rng.permuted(np.tile(np.arange(len(S)), (DRAWS, 1)), axis=1)
    values = adjacent(S, rows)
    inside = _different(rows[(low <= values) & (values <= high)])
    if len(inside) >= number:
        return inside[:number]
    return _different(_walk(S, rows[:number], low, high, rng))


def _walk(
    S: np.ndarray, orders: np.ndarray, low: float, high: float, rng: np.random.Generator
) -> np.ndarray:
    """Where a chain from each of the orders ends; chains that never reach the band are left out."""
    count, length = orders.shape
    place = np.arange(length)
    off = _outside(adjacent(S, orders), low, high)
    for _ in range(MOVES * length):
        i, j = np.sort(rng.integers(length, size=(count, 2)), axis=1).T[:, :, None]
        swapped = np.where(place == i, j, np.where(place == j, i, place))
        mirrored = np.where((i <= place) & (place <= j), i + j - place, place)
        moved = np.where(rng.random((count, 1)) < 0.5, swapped, mirrored)
        proposed = np.take_along_axis(orders, moved, axis=1)
        proposed_off = _outside(adjacent(S, proposed), low, high)
        accepted = proposed_off <= off
        orders = np.where(accepted[:, None], proposed, orders)
        off = np.where(accepted, proposed_off, off)
    ended: np.ndarray = orders[off == 0]
    return ended


def _outside(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far values are from the band; 0 inside."""
    return np.maximum(0.0, np.maximum(low - values, values - high))


def _different(orders: np.ndarray) -> np.ndarray:
    """Every order once, in the sequence of their first appearance."""
    _, first = np.unique(orders, axis=0, return_index=True)
    return orders[np.sort(first)]


def balance_ends(candidates: np.ndarray, number: int) -> np.ndarray:
    """Of some orders, `number` whose first and last tasks are spread most evenly: int [number, T].

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


def orders_in_band(
    S: np.ndarray, law: NullLaw, band: Band, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Different orders of a band, with balanced ends: int [number, T].

    Raises:
        InputError: the band holds fewer orders.
    """
    candidates = draw_band(S, law, band, CANDIDATES * number, rng)
    if len(candidates) < number:
        raise InputError(
            f"only {len(candidates)} orders of {len(S)} tasks were found in the similarity band "
            f"from {band[0]:g} to {band[1]:g}, but {number} are asked for; widen it."
        )
    return balance_ends(candidates, number)
