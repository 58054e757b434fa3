"""Simulates whole studies of every design, with known truth: what statistics over orders are worth.

nice -n 19 python benchmarks/order_statistics.py --studies 400
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from typing import Any

import numpy as np

from analysis.inference.intervals import t_interval, telling
from analysis.orders.blocks import Blocks
from analysis.orders.order_models import adjacency, position, precedence
from analysis.orders.ranking import taus
from analysis.orders.robustness import expected_range, spreads
from analysis.orders.steadiness import log_ratios
from analysis.orders.variance import components
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
        seeds = self.seed * draw(rng, (1, R, 1)) + self.own_seed * draw(rng, (q, R, 1))
        y: np.ndarray = self.effects[:, blocks] + seeds
        return y + self.noise * draw(rng, y.shape)

    @property
    def order_sd(self) -> np.ndarray:
        """Returns the SD over all orders, of every method in one seed."""
        variances: np.ndarray = self.effects.var(axis=1) + self.noise**2
        deviations: np.ndarray = np.sqrt(variances)
        return deviations

    @property
    def seed_sd(self) -> float:
        """Returns the SD over seeds of a method."""
        return float(np.hypot(self.seed, self.own_seed))

    def reliability(self, blocks: np.ndarray, replicates: int) -> float:
        """Returns G of a study, going by many blocks [blocks, n] of its design."""
        between = self.effects.mean(axis=1).var(ddof=1)
        means = self.effects[:, blocks].mean(axis=2)  # [methods, blocks]
        own = means - means.mean(axis=0)
        drawn = own.var(axis=1).sum() / (len(own) - 1)
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


CASES: dict[str, tuple[int, Design]] = {
    "random": (5, Random(num_orders=10)),
    "Williams, even": (6, Williams()),
    "Williams, odd": (5, Williams()),
    "component orthogonal array": (5, ComponentOrthogonalArray()),
    "antithetic": (5, Antithetic(num_orders=10)),
    "exhaustive": (4, Exhaustive()),
}
"""Designs, each with the number of tasks that it is tried with."""


def drawn_blocks(
    design: Design, names: Sequence[tuple[str, ...]], num: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns blocks of a design, as numbers of orders [num, n]."""
    number = {name: i for i, name in enumerate(names)}
    tasks = sorted(names[0])
    return np.array([[number[o] for o in design.orders(tasks, rng)] for _ in range(num)])


@dataclass(frozen=True)
class Found:
    """What the statistics of simulated studies are worth, as shares and ratios."""

    mean: float
    """Of intervals of a method's mean, the share that holds the truth."""
    difference: float
    """Likewise of differences between two methods."""
    order_sd: float
    """Over the truth, on average; and the share of intervals that holds it."""
    order_held: float
    seed_variance: float
    seed_held: float
    range_5: float
    range_held: float
    ratio_held: float
    """Of the ratio of two methods' SDs over orders."""
    g: float
    """Less the truth, on average; median; and the share of intervals that holds it."""
    g_median: float
    g_held: float
    tau: float
    """Agreement of two halves of one replicate each, less that of two studies of this size."""


def measure(
    design: Design,
    replicates: int,
    studies: int,
    rng: np.random.Generator,
    worlds: int = 20,
    **kind: Any,
) -> Found:
    """Returns what statistics are worth in studies of a design, in random worlds of a kind."""
    rows = []
    for _ in range(worlds):
        here = world(rng, **kind)
        pool = drawn_blocks(design, here.names, 1 if isinstance(design, Exhaustive) else 300, rng)
        truth = _truth(here, pool, replicates, rng)
        rows += [
            _judged(here, truth, pool[rng.integers(0, len(pool), replicates)], rng)
            for _ in range(studies // worlds)
        ]
    table = np.array(rows)
    names = [field.name for field in fields(Found)]
    found = dict(zip(names, np.nanmean(table, axis=0).tolist(), strict=True))
    return Found(**found | {"g_median": float(np.median(table[:, names.index("g_median")]))})


@dataclass(frozen=True)
class Truth:
    """What studies of a world ought to find."""

    order_sd: np.ndarray
    range_5: np.ndarray
    g: float
    tau: float


def _truth(here: World, pool: np.ndarray, replicates: int, rng: np.random.Generator) -> Truth:
    order_sd = here.order_sd
    five = np.array([rng.choice(len(here.names), 5, replace=False) for _ in range(4000)])
    values = here.effects[:, five]
    noise = LAWS[here.law](rng, values.shape)
    ranges = np.ptp(values + here.noise * noise, axis=2).mean(axis=1)
    means = here.study(pool[rng.integers(0, len(pool), 4000)], rng).mean(axis=2).T
    tau = float(taus(means[:2000], means[2000:]).mean())
    return Truth(order_sd, ranges, here.reliability(pool, replicates), tau)


def _judged(here: World, truth: Truth, drawn: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Returns the numbers of `Found` for one study, for its first two methods where it matters."""
    R, n = drawn.shape
    y = here.study(drawn, rng)  # [methods, replicates, orders]
    values = y.reshape(len(y), -1).T
    blocks = Blocks(np.repeat(np.arange(R), n), [here.names[i] for i in drawn.ravel()])
    means = y.mean(axis=2)
    target = here.effects.mean(axis=1)
    mean, gain = t_interval(means[0]), t_interval(means[1] - means[0])
    spreads_found = spreads(blocks, values)
    sd = spreads_found.iloc[0]
    five = expected_range(blocks, values[:, 0], 5)
    ratio = t_interval(log_ratios(blocks, values[:, :2])[0])
    low, high = telling(np.exp(ratio.low), np.exp(ratio.high))
    parts = components(values, blocks)
    error = (parts["method:seed"]["variance"] + parts["method:order"]["in_replicate"]) / R
    g, g_low, g_high = (
        part / (part + error) for part in (parts["method"][k] for k in ("variance", "low", "high"))
    )
    halves = [taus(means.T[i : i + 1], means.T[i + 1 : i + 2])[0] for i in range(R - 1)]
    return [
        mean.low <= target[0] <= mean.high,
        gain.low <= target[1] - target[0] <= gain.high,
        sd.order_sd / truth.order_sd[0],
        _held(sd.order_sd_low, truth.order_sd[0], sd.order_sd_high),
        float(np.nanmean(blocks.split(values).seed)) / here.seed_sd**2,
        _held(sd.seed_sd_low, here.seed_sd, sd.seed_sd_high),
        five.mean / truth.range_5[0],
        _held(five.low, truth.range_5[0], five.high),
        _held(float(low), truth.order_sd[0] / truth.order_sd[1], float(high)),
        g - truth.g,
        g - truth.g,
        _held(g_low, truth.g, g_high),
        float(np.mean(halves)) - truth.tau,
    ]


def _held(low: float, value: float, high: float) -> float:
    """Returns 1 if an interval holds the truth, 0 if not, NaN if none is given."""
    return float(low <= value <= high) if np.isfinite(high) else np.nan


KINDS: dict[str, dict[str, Any]] = {
    "weak interaction": {"own": 0.01},
    "strong interaction": {"own": 0.04},
    "heavy tails": {"own": 0.02, "law": "heavy tails"},
}
"""How much orders move every method otherwise, and the law of seeds, noise and single orders."""


REPLICATES = (3, 5, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400, help="per design, size and kind")
    options = parser.parse_args()
    head = [field.name for field in fields(Found)]
    print(f"| kind | design | runs | {' | '.join(head)} |")
    print("|---" * (len(head) + 3) + "|")
    for kind, parts in KINDS.items():
        for name, (tasks, design) in CASES.items():
            for replicates in REPLICATES:
                rng = np.random.default_rng([tasks, replicates])
                size = len(design.orders([str(i) for i in range(tasks)], rng))
                found = measure(design, replicates, options.studies, rng, tasks=tasks, **parts)
                shown = " | ".join(f"{getattr(found, column):.3f}" for column in head)
                print(f"| {kind} | {name} | {replicates} x {size} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
