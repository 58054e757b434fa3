"""Makes all orders of the tasks."""

import itertools
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from sweep.errors import InputError
from sweep.orders.base import Design
from sweep.orders.order import Order


class Exhaustive(Design):
    """All n! orders."""

    LIMIT: ClassVar[int] = 8

    name: str = "exhaustive"

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns every permutation, in lexicographic order of the tasks as given."""
        if len(tasks) > self.LIMIT:
            raise InputError(
                f"design 'exhaustive' takes at most {self.LIMIT} tasks, got {len(tasks)} "
                f"({math.factorial(len(tasks)):,} orders); use design 'williams' or 'random'."
            )
        return list(itertools.permutations(tasks))
