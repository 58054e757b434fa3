"""A design that is installed as a package of its own.

T orders show every task at every position (a cyclic Latin square, Fisher 1935). `williams` also
balances what comes directly before, and takes twice as many orders if T is odd.
"""

from collections.abc import Sequence

import numpy as np

from sweep.orders.base import Design, relabelled
from sweep.orders.order import Order


class Rotations(Design):
    """T orders, each the one before it with its first task moved to the end."""

    name: str = "rotations"

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns the rotations of one random order."""
        T = len(tasks)
        return relabelled([[(i + shift) % T for i in range(T)] for shift in range(T)], tasks, rng)
