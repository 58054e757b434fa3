"""Takes orders as given: one by one, or by the name of a published one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator

from analysis.data.published_orders import NAMED, NUMBERED, bare
from sweep.errors import InputError, unknown
from sweep.orders.base import Design
from sweep.orders.order import Order

PUBLISHED = "published"
"""Stands for all published orders of a named benchmark."""


class Fixed(Design):
    """Orders given one by one, or by the name of a published one; the same in every replicate."""

    fits_any_tasks: ClassVar[bool] = False
    name: str = "fixed"
    given: tuple[Order | str, ...] = Field(
        alias="orders",
        min_length=1,
        description="Each a list of tasks; or the name of an order of a named benchmark, or "
        f"'{PUBLISHED}' for all of those; or one of {', '.join([*NAMED, *NUMBERED])}.",
    )
    all_tasks: bool = Field(
        default=True, description="Every order must hold all tasks; false: any of them, each once."
    )

    @field_validator("given", mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    def with_published(self, orders: Mapping[str, Order]) -> Self:
        """Returns the design with a benchmark's published orders in place of their names.

        >>> orders = {"order-1": ("pets", "food"), "order-2": ("food", "pets")}
        >>> Fixed(orders="published").with_published(orders).given
        (('pets', 'food'), ('food', 'pets'))

        Raises:
            InputError: it names an order that is not among them.
        """
        found: list[Order | str] = []
        for order in self.given:
            if order == PUBLISHED and not orders:
                raise InputError("this benchmark has no published orders; list some of its tasks.")
            if order == PUBLISHED:  # of few of the tasks, two of them may be the same
                found += dict.fromkeys(orders.values())
            elif order in orders:
                found.append(orders[str(order)])
            elif isinstance(order, str) and order not in (*NAMED, *NUMBERED):
                raise unknown("published order", order, [*orders, *NAMED, *NUMBERED])
            else:
                found.append(order)
        return self.model_copy(update={"given": tuple(found)})

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns the given orders, checked against the tasks."""
        orders = [
            published(order, tasks) if isinstance(order, str) else order for order in self.given
        ]
        for order in orders:
            self._check(order, tasks)
        if len(set(orders)) < len(orders):
            raise InputError("design 'fixed': the same order is given twice; give it once.")
        return orders

    def _check(self, order: Order, tasks: Sequence[str]) -> None:
        for task in order:
            if task not in tasks:
                raise unknown("task in design 'fixed'", task, tasks)
        if self.all_tasks and sorted(order) != sorted(tasks):
            raise InputError(
                f"design 'fixed': order [{', '.join(order)}] must name each of the study's "
                f"tasks exactly once: {', '.join(tasks)}."
            )
        if not order or len(set(order)) < len(order):
            raise InputError(
                f"design 'fixed': order [{', '.join(order)}] must name one or more tasks, "
                "each once."
            )


def published(name: str, tasks: Sequence[str]) -> Order:
    """Returns a published order, in the names that a benchmark gives its tasks.

    Raises:
        InputError: there is no such order, or it is for other tasks.
    """
    if name in NUMBERED:
        places = NUMBERED[name]
        if len(places) != len(tasks):
            raise InputError(
                f"design 'fixed': order '{name}' is for {len(places)} tasks, "
                f"but the benchmark has {len(tasks)}."
            )
        return tuple(tasks[place] for place in places)
    if name not in NAMED:
        raise unknown("published order", name, [*NAMED, *NUMBERED])
    known = {bare(task): task for task in tasks}
    missing = [task for task in NAMED[name] if bare(task) not in known]
    if missing:
        raise InputError(
            f"design 'fixed': order '{name}' needs a task '{missing[0]}'; "
            f"the benchmark has {', '.join(tasks)}."
        )
    return tuple(known[bare(task)] for task in NAMED[name])
