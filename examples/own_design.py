"""A design: a curriculum, its reverse, and random orders as the control.

Wu et al., "When do curricula work?" (ICLR 2021, arXiv 2012.03107), found that random orders of
samples often do as well as a curriculum. So one of tasks needs random orders as its control, too.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.errors import InputError
from sweep.orders.base import Design
from sweep.orders.order import Order


class Curriculum(Design):
    """Easiest task first, hardest task first, and orders drawn at random."""

    fits_any_tasks: ClassVar[bool] = False
    name: str = "curriculum"
    easiest_first: tuple[str, ...] = Field(description="All tasks, from easy to hard.")
    num_random: int = Field(default=2, ge=0, description="Random orders of one replicate.")

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns the curriculum, its reverse, and random orders that differ from both."""
        if sorted(self.easiest_first) != sorted(tasks):
            raise InputError(f"easiest_first must name each of these once: {', '.join(tasks)}.")
        found = dict.fromkeys([self.easiest_first, self.easiest_first[::-1]])
        for _ in range(100 * self.num_random):
            if len(found) < 2 + self.num_random:
                found[tuple(tasks[i] for i in rng.permutation(len(tasks)))] = None
        return list(found)
