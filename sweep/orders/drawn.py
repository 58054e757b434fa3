"""Draws orders at random: independently, or each with its reverse."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from sweep.errors import InputError
from sweep.orders.base import Design
from sweep.orders.order import Order


class Random(Design):
    """A number of different orders, drawn uniformly and anew in every replicate."""

    name: str = "random"
    num_orders: int = Field(ge=1, description="Orders of one replicate.")

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns uniform draws without replacement; each single order is uniform over all n!."""
        _check_possible(self.name, self.num_orders, tasks)
        drawn: dict[Order, None] = {}
        while len(drawn) < self.num_orders:
            drawn[tuple(tasks[i] for i in rng.permutation(len(tasks)))] = None
        return list(drawn)


class Antithetic(Design):
    """Random orders, each followed by its reverse: of any two tasks, each comes first in half."""

    name: str = "antithetic"
    num_orders: int = Field(ge=2, multiple_of=2, description="Orders of one replicate; even.")

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns uniform draws without replacement among pairs of an order and its reverse."""
        _check_possible(self.name, self.num_orders, tasks)
        drawn: dict[Order, None] = {}
        while len(drawn) < self.num_orders:
            order = tuple(tasks[i] for i in rng.permutation(len(tasks)))
            drawn[order] = drawn[order[::-1]] = None
        return list(drawn)


def _check_possible(name: str, num_orders: int, tasks: Sequence[str]) -> None:
    possible = math.factorial(len(tasks))
    if num_orders > possible:
        raise InputError(
            f"design '{name}' with num_orders {num_orders}: {len(tasks)} tasks have only "
            f"{possible} orders; use at most that many, or design 'exhaustive'."
        )
