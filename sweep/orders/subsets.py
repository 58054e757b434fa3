"""Makes orders of subsets of the tasks: would other tasks have given the same result?"""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator

from sweep.errors import InputError
from sweep.orders.base import Design
from sweep.orders.order import Order
from sweep.orders.williams import Williams
from sweep.section import named


class Subsets(Design):
    """Random subsets of the tasks, and for each of them the orders of another design."""

    fits_any_tasks: ClassVar[bool] = False
    name: str = "subsets"
    size: int = Field(ge=2, description="Tasks of one order.")
    num_subsets: int = Field(ge=1, description="Subsets of one replicate.")
    design: Annotated[SerializeAsAny[Design], named("designs")] = Field(
        default=Williams(), description="Makes the orders of each subset."
    )

    @field_validator("design")
    @classmethod
    def _fits_subsets(cls, design: Design) -> Design:
        if not design.fits_any_tasks:
            raise InputError(
                f"design 'subsets' cannot make the orders of a subset with '{design.name}', which "
                "needs particular tasks; give williams, coa, antithetic, random or exhaustive."
            )
        return design

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns orders of subsets that are drawn uniformly without replacement."""
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
