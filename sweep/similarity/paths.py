"""Finds orders from a similarity matrix: extreme ones exactly, and two rules of thumb.

S[i, j] is the similarity of task i to task j; its diagonal is ignored. Orders are tuples of task
numbers.
"""

from collections.abc import Sequence

import numpy as np

from sweep.errors import InputError
from sweep.similarity.order_scores import typicality

LIMIT = 15
"""Most tasks for an exact extreme order: time and memory grow as 2^T T."""


def extreme_path(
    S: np.ndarray, largest: bool, size: int | None = None, held: Sequence[int] = ()
) -> tuple[int, ...]:
    """Returns the order with the largest (or smallest) sum of S over neighbours.

    Held & Karp, "A dynamic programming approach to sequencing problems" (1962): the best path
    through a set of tasks that ends with j is the best one through the others, and then j.

    Args:
        S: Similarities in the pool, float [T, T].
        largest: The largest sum, or the smallest.
        size: Tasks of the order; all T by default.
        held: Tasks that the order has to contain.

    Raises:
        InputError: more than 15 tasks.
    """
    number, size = len(S), size or len(S)
    if number > LIMIT:
        raise InputError(f"extreme orders are found for at most {LIMIT} tasks, got {number}.")
    steps = S if largest else -S
    sets = np.arange(2**number)
    count = sum((sets >> j) & 1 for j in range(number))
    best = np.full((2**number, number), -np.inf)  # [set, last task]
    best[1 << np.arange(number), np.arange(number)] = 0.0
    for length in range(1, size):
        paths = sets[count == length]
        longer = (best[paths, :, None] + steps).max(axis=1)  # [paths, next task]
        for j in range(number):
            free = (paths >> j) & 1 == 0
            best[paths[free] | 1 << j, j] = longer[free, j]
    needed = sum(1 << j for j in held)
    full = sets[(count == size) & (sets & needed == needed)]
    return _trace(best, steps, int(full[best[full].max(axis=1).argmax()]), size)


def _trace(best: np.ndarray, steps: np.ndarray, left: int, size: int) -> tuple[int, ...]:
    """Returns the best path through the set `left`, traced from its end to its start."""
    order = [int(best[left].argmax())]
    while len(order) < size:
        left ^= 1 << order[-1]
        order.append(int((best[left] + steps[:, order[-1]]).argmax()))
    return tuple(order[::-1])


def periphery_to_core(S: np.ndarray) -> tuple[int, ...]:
    """Returns the tasks from least to most typical (Li & Hiratani, ICML 2025)."""
    return tuple(np.argsort(typicality(S), kind="stable").tolist())
