"""What a design is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from sweep.work import Order


class Design(BaseModel, ABC):
    """The `design:` section of a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str

    @property
    def settled(self) -> bool:
        """Whether orders can be made; False as long as something has to be measured first."""
        return True

    @abstractmethod
    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """The orders of one replicate (one block), all different.

        Raises:
            InputError: the design cannot be made from these tasks.
        """


def relabelled(
    rows: Iterable[Sequence[int]], tasks: Sequence[str], rng: np.random.Generator
) -> list[Order]:
    """Rows of the numbers 0..T-1 as orders, with the tasks numbered at random.

    Whatever the rows are, each of the orders by itself is then uniform over all T!, so that plain
    means over them have no bias; their balance stays.
    """
    chosen = [tasks[i] for i in rng.permutation(len(tasks))]
    return [tuple(chosen[i] for i in row) for row in rows]
