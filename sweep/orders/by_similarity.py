"""Makes orders with neighbours of chosen similarity."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from sweep.errors import InputError, unknown
from sweep.orders.base import Design
from sweep.orders.order import Order
from sweep.registry import check
from sweep.similarity import MEASURES
from sweep.similarity.bands import Band, NullLaw, orders_in_band
from sweep.similarity.paths import extreme_path


class Similarity(Design):
    """Orders in bands of the mean similarity of neighbours, or the two extreme orders.

    A band is a pair of levels: quantiles of that mean under uniform orders (see
    `sweep.similarity.bands`, also for the law from which orders are drawn). Comparing a low band
    with a high band shows whether similar neighbours help. No band is a sample of all orders, so a
    plain mean over its orders does not estimate the mean over all. With `size`, orders are
    sequences of some of the tasks: similarity can then vary widely around a few tasks that every
    order contains.
    """

    fits_any_tasks: ClassVar[bool] = False
    name: str = "similarity"
    num_orders: int = Field(ge=1, description="Orders of each band in one replicate.")
    bands: tuple[Band | Literal["lowest", "highest"], ...] = Field(
        default=((0.0, 0.1), (0.45, 0.55), (0.9, 1.0)),
        min_length=1,
        description="Pairs of levels from 0 to 1; 'lowest', 'highest': the one extreme order.",
    )
    size: int | None = Field(
        default=None, ge=2, description="Tasks of an order, drawn from all of them; null: all."
    )
    held: tuple[str, ...] = Field(default=(), description="Tasks that every order contains.")
    measure: str = Field(
        default="image_image",
        description=f"One of {', '.join(MEASURES)}; or package.module:Measure.",
    )
    backbone: str | None = Field(
        default=None, description="Label of the backbone to measure with; null: the first one."
    )
    matrix: tuple[tuple[float, ...], ...] | None = Field(
        default=None,
        description="Similarity of every task to every other; null: measured before planning.",
    )

    @field_validator("bands")
    @classmethod
    def _rising(cls, bands: tuple[Band | str, ...]) -> tuple[Band | str, ...]:
        for band in bands:
            if not isinstance(band, str) and not 0 <= band[0] < band[1] <= 1:
                raise InputError(
                    f"got the band {list(band)}; its levels must rise and lie between 0 and 1."
                )
        return bands

    @field_validator("measure")
    @classmethod
    def _known(cls, measure: str) -> str:
        check("measures", measure)
        return measure

    @property
    def is_resolved(self) -> bool:
        """Whether the similarities are known."""
        return self.matrix is not None

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns the orders band by band; an order that two bands share comes once."""
        if [len(row) for row in self.matrix or ()] != [len(tasks)] * len(tasks):
            raise InputError(
                f"design 'similarity': the matrix must have {len(tasks)} rows of {len(tasks)} "
                f"numbers, one for each of {', '.join(tasks)}."
            )
        size = self.size or len(tasks)
        for task in self.held:
            if task not in tasks:
                raise unknown("task in design 'similarity'", task, tasks)
        if not len(set(self.held)) <= size <= len(tasks):
            limit = f"only {len(tasks)} tasks" if size > len(tasks) else f"{len(self.held)} in held"
            raise InputError(f"design 'similarity': size {size} does not fit, there are {limit}.")
        S, held = np.array(self.matrix), [tasks.index(task) for task in dict.fromkeys(self.held)]
        law = NullLaw(S, size, held)
        rows: list[Sequence[int]] = []
        for band in self.bands:
            if isinstance(band, str):
                rows.append(extreme_path(S, band == "highest", size, held))
            else:
                rows += orders_in_band(law, band, self.num_orders, rng).tolist()
        return list(dict.fromkeys(tuple(tasks[i] for i in row) for row in rows))
