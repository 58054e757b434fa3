"""A made-up study for examples: computed at once, and rich enough to have effects."""

from itertools import permutations

import numpy as np

from analysis.data.accuracy_matrices import combine, from_matrices
from analysis.data.results import Results

TASKS = ("cars", "pets", "textures")
KEPT = {"finetune": 0.6, "replay": 0.9}
"""Share of what a method knows of a task that survives learning the next one, on average."""


def tiny_study(replicates: int = 4) -> Results:
    """Returns made-up results of two methods on three tasks in all orders.

    >>> results = tiny_study()
    >>> sorted(set(results.runs["method"])), len(results.runs)
    (['finetune', 'replay'], 48)
    """
    orders = list(permutations(TASKS))
    blocks = [r for r in range(replicates) for _ in orders]
    return combine(
        {
            method: from_matrices(
                [_matrix(kept, order, r) for r in range(replicates) for order in orders],
                orders * replicates,
                method,
                replicates=blocks,
                backbone="clip",
            )
            for method, kept in KEPT.items()
        }
    )


def _matrix(kept: float, order: tuple[str, ...], replicate: int) -> np.ndarray:
    """Returns R [T + 1, T]; textures destroy more than cars, and replicates differ a little."""
    numbers = [TASKS.index(task) for task in order]
    R = [np.array([0.30 + 0.05 * number for number in numbers])]
    for k, number in enumerate(numbers):
        kept_now = kept - 0.1 * number + 0.01 * ((7 * replicate + 3 * number) % 5)
        row = np.where(np.arange(len(numbers)) < k, 0.2 + kept_now * (R[-1] - 0.2), R[-1])
        row[k] = 0.9 - 0.05 * number + 0.004 * replicate
        R.append(row)
    return np.array(R).round(6)
