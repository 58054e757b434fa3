"""Which orders to run: one class per design.

A new design is a class with an `orders` method and one line in DESIGNS.
"""

from sweep.orders.balance import Balance, balance
from sweep.orders.base import Design
from sweep.orders.coa import ComponentOrthogonalArray
from sweep.orders.drawn import Antithetic, Random
from sweep.orders.exhaustive import Exhaustive
from sweep.orders.given import Fixed
from sweep.orders.subsets import OF_ANY_TASKS, Subsets
from sweep.orders.williams import Williams

DESIGNS: dict[str, type[Design]] = {**OF_ANY_TASKS, "subsets": Subsets, "fixed": Fixed}

__all__ = [
    "DESIGNS",
    "Antithetic",
    "Balance",
    "ComponentOrthogonalArray",
    "Design",
    "Exhaustive",
    "Fixed",
    "Random",
    "Subsets",
    "Williams",
    "balance",
]
