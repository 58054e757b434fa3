"""Compares designs: intervals at an equal number of stages trained, with the truth known.

    nice -n 19 python benchmarks/order_designs.py

It simulates studies of a made-up world with every design. The world is a rule for R[k, i], the
score on task i after k tasks; the effect of a task depends on the tasks before it, so contributions
are not additive. The truth is the mean over all n! orders, by enumeration. A study trains every
prefix of a replicate once, and the noise of a stage is its parent's plus its own, so orders of a
replicate share noise exactly as far as they share training. Every design gets as many replicates
as fit into the budget of stages; intervals are t intervals over replicates.

It prints, per number of tasks and design: orders of a replicate, replicates, stages trained, and
coverage and mean width of 95 % intervals
    for contributions, E[R[pos(j), i] - R[pos(j) - 1, i]] of task j to task i, over all pairs;
    for average accuracy, E[mean over i of R[n, i]].
"""

import argparse
import math
from itertools import permutations

import numpy as np
from scipy import stats

from sweep.orders.base import Design
from sweep.orders.coa import ComponentOrthogonalArray
from sweep.orders.drawn import Antithetic, Random
from sweep.orders.williams import Williams


def designs_for(num_tasks: int) -> dict[str, Design]:
    """Returns designs by name, most with replicates as large as a Williams square."""
    square = 2 * num_tasks
    return {
        "random, single": Random(num_orders=1),
        "random": Random(num_orders=square),
        "antithetic": Antithetic(num_orders=square),
        "williams": Williams(),
        "coa": ComponentOrthogonalArray(),
    }


class World:
    """Scores after every prefix, and the noise of training."""

    def __init__(self, num_tasks: int, noise: float, rng: np.random.Generator) -> None:
        n = self.num_tasks = num_tasks
        self.noise = noise
        self.start = rng.normal(0.0, 0.7, n)
        """Logit of every task's score before any training."""
        self.gain = rng.uniform(1.5, 3.0, n)
        """Amount that training a task adds to its own logit, at first."""
        self.effect = rng.normal(-0.25, 0.4, (n, n))
        """[j, i]: amount that training j adds to the logit of i; mostly negative."""

    def scores(self, orders: np.ndarray) -> np.ndarray:
        """Returns R without noise for orders [m, n] of task numbers: [m, n + 1, n].

        Later tasks gain less, recently learnt tasks lose most, and scores saturate.
        """
        m, n = orders.shape
        logits = np.tile(self.start, (m, 1))
        learnt = np.full((m, n), -np.inf)  # stage at which a task was learnt
        rows, steps = np.arange(m), [1 / (1 + np.exp(-logits))]
        for k in range(n):
            trained = orders[:, k]
            recent = 1 + np.exp2(learnt - k)
            logits = logits + self.effect[trained] * recent
            own = self.start[trained] + self.gain[trained] * 0.93**k
            logits[rows, trained] = own + 0.3 * (logits[rows, trained] - self.start[trained])
            learnt[rows, trained] = k
            steps.append(1 / (1 + np.exp(-logits)))
        return np.stack(steps, axis=1)

    def study(
        self, orders: np.ndarray, replicate: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, int]:
        """Returns R with noise, and the number of stages trained; order k is of `replicate[k]`."""
        R, key, stages = self.scores(orders), replicate.astype(np.int64), 0
        drift = np.zeros((len(orders), self.num_tasks))
        for k in range(orders.shape[1]):
            key = key * self.num_tasks + orders[:, k]
            prefixes, of = np.unique(key, return_inverse=True)
            drift = drift + self.noise * rng.standard_normal((len(prefixes), self.num_tasks))[of]
            R[:, k + 1] += drift
            stages += len(prefixes)
        return R, stages


def estimands(R: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Returns all contributions [j, i] of every order, then average accuracy: [m, n * n + 1]."""
    m, n = orders.shape
    position = np.argsort(orders, axis=1)
    gains = np.take_along_axis(np.diff(R, axis=1), position[:, :, None], axis=1)  # [m, j, i]
    return np.hstack([gains.reshape(m, n * n), R[:, -1].mean(axis=1, keepdims=True)])


def truth(world: World) -> np.ndarray:
    orders = np.array(list(permutations(range(world.num_tasks))))
    return estimands(world.scores(orders), orders).mean(axis=0)


def replicates_within(design: Design, world: World, budget: int, rng: np.random.Generator) -> int:
    """Returns how many replicates train about `budget` stages."""
    drawn, replicate = draw(design, world.num_tasks, 20, rng)
    return max(2, round(budget * 20 / world.study(drawn, replicate, rng)[1]))


def draw(
    design: Design, num_tasks: int, blocks: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns orders of `blocks` replicates as task numbers [m, n], and the replicate of each."""
    names = [str(i) for i in range(num_tasks)]
    drawn = [design.orders(names, rng) for _ in range(blocks)]
    orders = np.array([order for block in drawn for order in block]).astype(int)
    return orders, np.repeat(np.arange(blocks), len(drawn[0]))


def measure(
    design: Design, world: World, blocks: int, studies: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns coverage and mean width of every estimand's interval, and stages of one study."""
    target = truth(world)
    orders, replicate = draw(design, world.num_tasks, blocks * studies, rng)
    R, stages = world.study(orders, replicate, rng)
    means = estimands(R, orders).reshape(studies, blocks, -1, len(target)).mean(axis=2)
    quantile = stats.t.ppf(0.975, blocks - 1)
    half = quantile * means.std(axis=1, ddof=1) / math.sqrt(blocks)
    covered = np.abs(means.mean(axis=1) - target) <= half
    return covered.mean(axis=0), 2 * half.mean(axis=0), stages / studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=300, help="per world and design")
    parser.add_argument("--worlds", type=int, default=6)
    parser.add_argument("--blocks", type=int, default=8, help="replicates of the largest design")
    parser.add_argument("--noise", type=float, default=0.01, help="of a stage, in accuracy")
    options = parser.parse_args()
    print("tasks design          orders x repl. stages  contributions  average accuracy")
    for num_tasks in (5, 7):
        rng = np.random.default_rng(0)
        designs = designs_for(num_tasks)
        worlds = [World(num_tasks, options.noise, rng) for _ in range(options.worlds)]
        largest = draw(designs["coa"], num_tasks, options.blocks, rng)
        budget = worlds[0].study(*largest, rng)[1]
        for name, design in designs.items():
            blocks = replicates_within(design, worlds[0], budget, rng)
            found = [measure(design, world, blocks, options.studies, rng) for world in worlds]
            coverage, width = (np.mean([each[k] for each in found], axis=0) for k in (0, 1))
            size = len(design.orders([str(i) for i in range(num_tasks)], rng))
            print(
                f"{num_tasks:5} {name:15} {size:6} x {blocks:4} {found[0][2]:7.0f}"
                f"  {coverage[:-1].mean():.1%} {width[:-1].mean():.4f}"
                f"   {coverage[-1]:.1%} {width[-1]:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
