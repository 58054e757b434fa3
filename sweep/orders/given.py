"""Takes orders as given: one by one, or by the name of a published one."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from analysis.data.published_orders import NAMED, NUMBERED, bare
from sweep.errors import InputError, unknown
from sweep.orders.base import Design
from sweep.orders.order import Order


class Fixed(Design):
    """Orders given one by one, or by the name of a published one; the same in every replicate."""

    fits_any_tasks: ClassVar[bool] = False
    name: str = "fixed"
    given: tuple[Order | str, ...] = Field(
        alias="orders",
        min_length=1,
        description=f"Each a list of tasks, or one of {', '.join([*NAMED, *NUMBERED])}.",
    )
    all_tasks: bool = Field(
        default=True, description="Every order must hold all tasks; false: any of them, each once."
    )

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
