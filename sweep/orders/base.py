"""Defines what a design is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np

from sweep.orders.order import Order
from sweep.section import Section


class Design(Section, ABC):
    """The `design:` section of a study."""

    fits_any_tasks: ClassVar[bool] = True
    """Whether it works for any tasks, depending only on their number."""

    name: str

    @property
    def is_resolved(self) -> bool:
        """Whether orders can be made; False if similarity has to be measured first."""
        return True

    def with_published(self, orders: Mapping[str, Order]) -> Self:
        """Returns the design with a benchmark's published orders in place of their names.

        Raises:
            InputError: it names an order that is not among them.
        """
        return self

    @abstractmethod
    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns the orders of one replicate (one block), all different.

        Raises:
            InputError: the design cannot be made from these tasks.
        """


def relabelled(
    rows: Iterable[Sequence[int]], tasks: Sequence[str], rng: np.random.Generator
) -> list[Order]:
    """Returns rows of the numbers 0..T-1 as orders, with the tasks numbered at random.

    Whatever the rows are, each single order is then uniform over all T! orders, so that plain means
    over them are unbiased; the balance of the rows is preserved.
    """
    chosen = [tasks[i] for i in rng.permutation(len(tasks))]
    return [tuple(chosen[i] for i in row) for row in rows]
