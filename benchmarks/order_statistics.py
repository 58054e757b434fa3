"""Simulates whole studies of every design, with known truth: what statistics over orders are worth.

nice -n 19 python benchmarks/order_statistics.py --studies 400
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from analysis.orders.order_models import adjacency, position, precedence
from sweep.orders.base import Design
from sweep.orders.coa import ComponentOrthogonalArray
from sweep.orders.drawn import Antithetic, Random
from sweep.orders.exhaustive import Exhaustive
from sweep.orders.williams import Williams

LAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.standard_t(4, shape) / 2**0.5,
}
"""Of seeds and noise, with variance 1."""
FEATURES = (position, precedence, adjacency)


@dataclass(frozen=True)
class World:
    """Methods whose results depend on order and seed, and what is true of them."""

    names: list[tuple[str, ...]]
    """All N orders."""
    effects: np.ndarray
    """Of orders on methods [methods, N], their means included."""
    seed: float
    """SD over seeds that all methods share, and over seeds of a single method:"""
    own_seed: float
    noise: float
    """SD of what every run adds."""
    law: str = "normal"

    def study(self, blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns y [methods, replicates, orders] of blocks of numbers of orders [R, n]."""
        draw = LAWS[self.law]
        q, (R, _) = len(self.effects), blocks.shape
        y = self.effects[:, blocks] + self.noise * draw(rng, (q, *blocks.shape))
        y = y + self.seed * draw(rng, (1, R, 1)) + self.own_seed * draw(rng, (q, R, 1))
        return y

    @property
    def order_sd(self) -> np.ndarray:
        """Returns the SD over all orders, of every method in one seed."""
        variances: np.ndarray = self.effects.var(axis=1) + self.noise**2
        return np.sqrt(variances)

    @property
    def seed_sd(self) -> float:
        """Returns the SD over seeds of a method."""
        return float(np.hypot(self.seed, self.own_seed))

    def reliability(self, blocks: np.ndarray, replicates: int) -> float:
        """Returns G of a study, going by many blocks [blocks, n] of its design."""
        between = self.effects.mean(axis=1).var(ddof=1)
        means = self.effects[:, blocks].mean(axis=2)  # [methods, blocks]
        own = means - means.mean(axis=0)
        drawn = own.var(axis=1, ddof=1).sum() / (len(own) - 1)
        error = drawn + self.own_seed**2 + self.noise**2 / blocks.shape[1]
        return float(between / (between + error / replicates))


def world(
    rng: np.random.Generator,
    tasks: int = 5,
    methods: int = 5,
    gap: float = 0.006,
    common: float = 0.03,
    own: float = 0.02,
    unstructured: float = 0.2,
    law: str = "normal",
    noise: float = 0.01,
) -> World:
    """Returns methods `gap` apart, that orders move alike (SD `common`) and each otherwise (`own`).

    Orders act by the places of tasks, by who precedes whom and by neighbours; a share
    `unstructured` of the variance follows no rule at all.
    """
    numbers = np.array(list(permutations(range(tasks))))
    known = [features(numbers) for features in FEATURES]

    def effect() -> np.ndarray:
        parts = [_scaled(X @ rng.standard_normal(X.shape[1])) for X in known]
        found = _scaled(parts[0] + 0.7 * parts[1] + 0.7 * parts[2])
        free = _scaled(LAWS[law](rng, (len(numbers),)))
        return _scaled((1 - unstructured) ** 0.5 * found + unstructured**0.5 * free)

    shared = common * effect()
    effects = np.stack([0.6 + gap * m + shared + own * effect() for m in range(methods)])
    names = [tuple("abcdefgh"[i] for i in row) for row in numbers.tolist()]
    return World(names, effects, seed=0.02, own_seed=0.004, noise=noise, law=law)


def _scaled(values: np.ndarray) -> np.ndarray:
    """Returns values with mean 0 and SD 1."""
    scaled: np.ndarray = (values - values.mean()) / values.std()
    return scaled


def designs_for(tasks: int) -> dict[str, Design]:
    """Returns the designs that are possible and of like size."""
    size = 10 if tasks % 2 else 2 * tasks
    found: dict[str, Design] = {"random": Random(num_orders=size), "williams": Williams()}
    if tasks in (3, 4, 5, 7):
        found["coa"] = ComponentOrthogonalArray()
    found["antithetic"] = Antithetic(num_orders=size)
    if tasks < 5:
        found["exhaustive"] = Exhaustive()
    return found


def drawn_blocks(
    design: Design, names: Sequence[tuple[str, ...]], num: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns blocks of a design, as numbers of orders [num, n]."""
    number = {name: i for i, name in enumerate(names)}
    tasks = sorted(names[0])
    return np.array([[number[o] for o in design.orders(tasks, rng)] for _ in range(num)])
