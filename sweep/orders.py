"""Which orders to run: one class per design.

A new design is a class with an `orders` method and one line in DESIGNS.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sweep.errors import InputError, unknown
from sweep.work import Order


class Design(BaseModel, ABC):
    """The `design:` section of a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str

    @abstractmethod
    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """The orders of one replicate (one block), all different, in the order they are run.

        Raises:
            InputError: the design cannot be made from these tasks.
        """


class Exhaustive(Design):
    """All n! orders."""

    LIMIT: ClassVar[int] = 8

    name: str = "exhaustive"

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Every permutation, in lexicographic order of the tasks as given."""
        if len(tasks) > self.LIMIT:
            raise InputError(
                f"design 'exhaustive' takes at most {self.LIMIT} tasks, got {len(tasks)} "
                f"({math.factorial(len(tasks)):,} orders); use design 'random'."
            )
        return list(itertools.permutations(tasks))


class Random(Design):
    """A number of different orders, drawn uniformly and afresh in every replicate."""

    name: str = "random"
    num_orders: int = Field(ge=1, description="Orders of one replicate.")

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Uniform draws without replacement; every single order is uniform over all n!."""
        possible = math.factorial(len(tasks))
        if self.num_orders > possible:
            raise InputError(
                f"design 'random' with num_orders {self.num_orders}: {len(tasks)} tasks have only "
                f"{possible} orders; use at most that many, or design 'exhaustive'."
            )
        drawn: dict[Order, None] = {}
        while len(drawn) < self.num_orders:
            drawn[tuple(tasks[i] for i in rng.permutation(len(tasks)))] = None
        return list(drawn)


class Fixed(Design):
    """Orders given one by one, the same in every replicate."""

    name: str = "fixed"
    given: tuple[Order, ...] = Field(
        alias="orders", min_length=1, description="Each a list of all tasks."
    )

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """The given orders, checked against the tasks."""
        for order in self.given:
            for task in order:
                if task not in tasks:
                    raise unknown("task in design 'fixed'", task, tasks)
            if sorted(order) != sorted(tasks):
                raise InputError(
                    f"design 'fixed': order [{', '.join(order)}] must name each of the study's "
                    f"tasks exactly once: {', '.join(tasks)}."
                )
        if len(set(self.given)) < len(self.given):
            raise InputError("design 'fixed': the same order is given twice; give it once.")
        return list(self.given)


DESIGNS: dict[str, type[Design]] = {
    "exhaustive": Exhaustive,
    "random": Random,
    "fixed": Fixed,
}
