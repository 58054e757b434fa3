"""Makes Williams squares: balanced for position and for the task that comes just before.

E. J. Williams, "Experimental designs balanced for the estimation of residual effects of
treatments" (Australian Journal of Scientific Research A 2, 1949). Rows are the zigzag
0, n-1, 1, n-2, ... with 1, 2, ... added to all its numbers, modulo n; for odd n also all of them
reversed. (For even n the reverses are among them already.)

In the n orders (2n for odd n) of a square
    every task is at every position once (twice),
    every task comes directly after every other once (twice),
    every task comes before every other in half of the orders.
"""

from collections.abc import Sequence

import numpy as np

from sweep.errors import InputError
from sweep.orders.base import Design, relabelled
from sweep.orders.order import Order


class Williams(Design):
    """A Williams square of n orders (2n if n is odd), its numbers assigned to tasks at random."""

    name: str = "williams"

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns one square; each single order is uniform over all n!."""
        if len(tasks) < 2:
            raise InputError(f"design 'williams' needs two or more tasks, got {len(tasks)}.")
        return relabelled(_square(len(tasks)), tasks, rng)


def _square(n: int) -> list[list[int]]:
    zigzag = [n - (k + 1) // 2 if k % 2 else k // 2 for k in range(n)]
    rows = [[(number + shift) % n for number in zigzag] for shift in range(n)]
    return rows + [row[::-1] for row in rows] if n % 2 else rows
