"""Studies whose truth is known, for benchmarks of statistics: a design, its runs, what is found."""

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.run_metrics.metric import METRICS
from benchmarks.order_statistics import LAWS, World, drawn_blocks, world
from sweep.orders.base import Design

MEASURED = {"backbone": "b", "measure": "made up"}


class Row(NamedTuple):
    """Holds what one statistic of one study is: NaN where it does not apply."""

    statistic: str
    bias: float = np.nan
    held: float = np.nan
    false: float = np.nan


@dataclass(frozen=True)
class Studies:
    """Draws studies of a design, of runs that have no effects of the order."""

    tasks: int
    design: Design
    replicates: int
    rng: np.random.Generator
    law: str = "normal"

    @cached_property
    def orders(self) -> np.ndarray:
        """Returns all orders as numbers of tasks [N, T]."""
        return np.array(list(permutations(range(self.tasks))))

    @cached_property
    def names(self) -> list[tuple[str, ...]]:
        """Returns all orders."""
        return [tuple("abcdefgh"[i] for i in row) for row in self.orders.tolist()]

    def block(self) -> np.ndarray:
        """Returns numbers of orders [replicates, n]."""
        return drawn_blocks(self.design, self.names, self.replicates, self.rng)

    def noise(self, *shape: int) -> np.ndarray:
        """Returns values with mean 0 and variance 1."""
        return LAWS[self.law](self.rng, shape)

    def world(self, **kind: Any) -> World:
        """Returns methods that orders and seeds move."""
        return world(self.rng, self.tasks, law=self.law, **kind)

    def runs(self, drawn: np.ndarray, y: np.ndarray) -> pd.DataFrame:
        """Returns runs of y [methods, replicates, n]."""
        R, n = drawn.shape
        replicate = np.repeat(np.arange(R), n)
        head = {"backbone": "b", "replicate": replicate, "seed": 0, "design": "d", "planned": n}
        head |= {"order": [self.names[i] for i in drawn.ravel()], "train_seconds": 1.0}
        head |= dict.fromkeys(METRICS, np.nan)
        parts = [
            pd.DataFrame(head | {"method": f"m{i}", "average_accuracy": values.ravel()})
            for i, values in enumerate(y)
        ]
        return pd.concat(parts, ignore_index=True)

    def scores(self, values: np.ndarray, score: str = "adjacent") -> pd.DataFrame:
        """Returns a score of all orders as `order_scores` does."""
        return pd.DataFrame(MEASURED | {"order": self.names, "score": score, "value": values})


def held_share(low: Any, truth: np.ndarray, high: Any) -> float:
    """Returns the share of intervals that hold the truth; NaN where none is given."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    given = np.isfinite(high)
    return float(((low <= truth) & (truth <= high))[given].mean()) if given.any() else np.nan
