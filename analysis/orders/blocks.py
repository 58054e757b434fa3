"""How much of the spread of runs is the order's, how much the seed's, whatever the design.

y(order, seed) = mean + f(order) + g(seed) + h(order, seed), with h fresh for every run. A replicate
is one seed with a block of n of the N possible orders, every single order of which is uniform over
all of them, and replicates are independent. Then, for every design,

    E[variance inside replicates, over n] = order - drawn
    E[variance of replicate means]        = seed + drawn

with order = Var(f + h), seed = Var(g) and drawn, the variance that a replicate's mean owes to the
orders it drew. Only `drawn` depends on the design. Orders drawn at random leave (1/n - 1/N) of the
variance between orders in the mean; all N orders leave none; orders that balance each other, as
those of a Williams square, leave less than random ones: how much less depends on f.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial, inf
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.inference.replicates import centred
from analysis.orders.order_models import adjacency, position, precedence

Order = tuple[str, ...]


class Variances(NamedTuple):
    """Holds variances of columns of values, apart by source; not truncated at 0."""

    inside: np.ndarray
    """[replicates, columns]: over the orders of a replicate (divisor n - 1); NaN for one order."""
    order: np.ndarray
    """[columns]: over all possible orders, within one seed."""
    between: np.ndarray
    """[columns]: of the means of replicates; NaN for one replicate."""
    drawn: np.ndarray
    """[columns]: what `between` holds of the orders that replicates drew."""

    @property
    def seed(self) -> np.ndarray:
        """[columns]: over seeds."""
        difference: np.ndarray = self.between - self.drawn
        return difference


@dataclass(frozen=True, eq=False)
class Blocks:
    """Knows the orders of every replicate, and how they balance each other.

    Nothing but the orders is asked for, so that it holds for published results, too.

    Attributes:
        replicate: number of the replicate of every run, 0, 1, ...
        orders: of every run.
    """

    replicate: np.ndarray
    orders: Sequence[Order]

    @classmethod
    def of(cls, runs: pd.DataFrame) -> "Blocks":
        """Returns those of runs of one method, which `metrics` returns."""
        return cls(pd.factorize(runs["replicate"])[0], list(runs["order"]))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Returns the number of orders of every replicate."""
        return np.bincount(self.replicate)

    @cached_property
    def possible(self) -> float:
        """Returns N, the number of orders of these tasks; infinite if runs have other tasks."""
        tasks = {frozenset(order) for order in self.orders}
        return float(factorial(len(self.orders[0]))) if len(tasks) == 1 else inf

    @cached_property
    def are_same(self) -> bool:
        """Returns whether all of several replicates hold the same orders."""
        blocks = [frozenset(block) for block in self._blocks]
        return len(blocks) > 1 and len(set(blocks)) == 1

    @cached_property
    def unit(self) -> int:
        """Returns the number of orders that are drawn together, to balance each other.

        1 for random orders, 2 where each has its reverse, n where every task is as often at every
        position (Williams squares, component orthogonal arrays), or where all replicates hold the
        same orders.
        """
        whole = int(self.sizes[0])
        if self.sizes.min() < self.sizes.max() or self.possible in (1, inf):
            return 1
        if self.are_same or whole == self.possible or all(map(_is_balanced, self._blocks)):
            return whole
        sets = map(set, self._blocks)
        return 2 if all(order[::-1] in block for block in sets for order in block) else 1

    @cached_property
    def _blocks(self) -> list[list[Order]]:
        found: list[list[Order]] = [[] for _ in self.sizes]
        for number, order in zip(self.replicate, self.orders, strict=True):
            found[number].append(order)
        return found

    def split(self, values: np.ndarray) -> Variances:
        """Returns the variances of values [runs, columns]."""
        means, inside = self._moments(values, self.replicate)
        several = self.sizes > 1
        within = inside[several].mean(axis=0) if several.any() else np.full(values.shape[1], np.nan)
        between = means.var(axis=0, ddof=1) if len(means) > 1 else np.full(len(within), np.nan)
        shared = float(np.mean(1 / self.sizes))
        drawn = self._drawn(values, within, shared - 1 / self.possible)
        order = within * (1 - shared) + drawn
        if self.are_same:  # no replicate drew orders of its own; what they differ in is h
            drawn = self._residual(values) / self.sizes[0]
        return Variances(inside, order, between, drawn)

    @property
    def drawn_degrees(self) -> float:
        """Returns the degrees of freedom of `Variances.drawn`.

        Those of the variance inside replicates; but where it is estimated how much orders balance
        each other, simulated estimates spread as if there were half a degree per replicate.
        """
        n, R = int(self.sizes[0]), len(self.sizes)
        is_modelled = self.unit > 2 and not self.are_same and n < self.possible
        return max(1.0, (R - 1) / 2) if is_modelled else float(self.sizes.sum() - R)

    def _drawn(self, values: np.ndarray, within: np.ndarray, free: float) -> np.ndarray:
        """Returns the variance of the mean of a block of orders, within one seed."""
        n, unit = int(self.sizes[0]), self.unit
        random: np.ndarray = within * free
        if unit == 1 or self.are_same or n == self.possible:
            return random
        if unit == 2 and n > 2:  # the means of pairs are independent draws
            partner = [min(order, order[::-1]) for order in self.orders]
            pairs = pd.factorize(pd.Series(list(zip(self.replicate, partner, strict=True))))[0]
            means, _ = self._moments(values, pairs)
            home = self.replicate[np.unique(pairs, return_index=True)[1]]
            _, spread = self._moments(means, home)
            drawn: np.ndarray = spread.mean(axis=0) * 2 * free
            return drawn
        if len(self.sizes) == 1:  # nothing tells how far its orders balance each other
            return random
        balanced: np.ndarray = np.clip(random + self._balance(values), 0, random)
        return balanced

    def _balance(self, values: np.ndarray) -> np.ndarray:
        """Returns how much less than random orders balanced ones leave in the mean of a block.

        With C(a, b) the covariance of f at two orders, a block leaves the mean of C over all its
        pairs. C is modelled as a sum of kernels: the numbers of tasks at the same place, of pairs
        of tasks in the same sequence, and of tasks after the same task. Their weights follow by
        regression (Haseman & Elston 1972) from products of values of different replicates, less
        their replicate's mean, so that neither seeds nor h enter.
        """
        kernels, squares, excess = self._kernels
        y = centred(values, self.replicate)
        products = np.array([(y * (kernel @ y)).sum(axis=0) for kernel in kernels])
        weights = np.linalg.lstsq(squares, products, rcond=1e-9)[0]
        balance: np.ndarray = excess @ weights
        return balance

    @cached_property
    def _kernels(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Returns kernels [runs, runs] between replicates, their products, and what blocks lack.

        What a block lacks is the mean of the kernel over its pairs of orders, less that over all
        pairs, per run.
        """
        apart = self.replicate[:, None] != self.replicate
        n, N = int(self.sizes[0]), self.possible
        together = ~apart & ~np.eye(len(self.orders), dtype=bool)
        tasks = {task: i for i, task in enumerate(sorted(self.orders[0]))}
        numbers = np.array([[tasks[task] for task in order] for order in self.orders])
        T = len(tasks)
        means = {position: 1.0, precedence: 0.0, adjacency: (T - 1) / T}  # of two uniform orders
        kernels, excess = [], []
        for features, mean in means.items():
            X = features(numbers)
            alike = X @ X.T
            others = (N * mean - alike[0, 0]) / (N - 1)  # mean over all orders but one's own
            excess.append((alike[together] - others).sum() / len(self.orders))
            X = centred(X, self.replicate)
            kernels.append((X @ X.T) * apart)
        squares = np.array([[(a * b).sum() for a in kernels] for b in kernels])
        return kernels, squares, np.array(excess) * (N - 1) / (N * (n - 1))

    def _moments(self, values: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and variance [groups, columns] of values by the numbers of their groups."""
        sizes = np.bincount(group)[:, None]
        means = np.zeros((len(sizes), values.shape[1]))
        np.add.at(means, group, values)
        means /= sizes
        squares = np.zeros_like(means)
        np.add.at(squares, group, (values - means[group]) ** 2)
        degrees = np.where(sizes > 1, sizes - 1, np.nan)
        return means, squares / degrees

    def _residual(self, values: np.ndarray) -> np.ndarray:
        """Returns the variance that neither orders nor replicates explain, of crossed orders."""
        left = centred(values, self.replicate)
        left = centred(left, pd.factorize(pd.Series(list(self.orders)))[0])
        n, R = int(self.sizes[0]), len(self.sizes)
        variance: np.ndarray = (left**2).sum(axis=0) / max(1, (n - 1) * (R - 1))
        return variance


def _is_balanced(block: list[Order]) -> bool:
    """Returns whether every task is as often at every position."""
    numbers = pd.factorize(np.array(block, dtype=object).ravel())[0].reshape(len(block), -1)
    return len(np.unique(position(numbers).sum(axis=0))) == 1
