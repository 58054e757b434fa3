"""Sequences of some of a benchmark's tasks: would other tasks have given the same result?"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, SerializeAsAny

from sweep.errors import InputError
from sweep.orders.base import Design
from sweep.orders.coa import ComponentOrthogonalArray
from sweep.orders.drawn import Antithetic, Random
from sweep.orders.exhaustive import Exhaustive
from sweep.orders.williams import Williams
from sweep.validation import named
from sweep.work import Order

OF_ANY_TASKS: Mapping[str, type[Design]] = {
    "williams": Williams,
    "antithetic": Antithetic,
    "coa": ComponentOrthogonalArray,
    "random": Random,
    "exhaustive": Exhaustive,
}
"""Designs that ask nothing of the tasks but their number."""


class Subsets(Design):
    """Random subsets of the tasks, and for each of them the orders of another design."""

    name: str = "subsets"
    size: int = Field(ge=2, description="Tasks of one order.")
    num_subsets: int = Field(ge=1, description="Subsets of one replicate.")
    design: Annotated[SerializeAsAny[Design], named("design", OF_ANY_TASKS)] = Field(
        default=Williams(), description="Makes the orders of each subset."
    )

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Subsets drawn uniformly without replacement; every order is uniform over all of them."""
        possible = math.comb(len(tasks), self.size)
        if self.num_subsets > possible:
            raise InputError(
                f"design 'subsets' with num_subsets {self.num_subsets}: {len(tasks)} tasks have "
                f"only {possible} subsets of size {self.size}."
            )
        drawn: dict[tuple[int, ...], None] = {}
        while len(drawn) < self.num_subsets:
            places = rng.choice(len(tasks), self.size, replace=False)
            drawn[tuple(sorted(places.tolist()))] = None
        return [
            order
            for places in drawn
            for order in self.design.orders([tasks[place] for place in places], rng)
        ]
