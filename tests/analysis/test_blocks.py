"""Orders and seeds told apart: designs known by their orders, closed forms, truth by simulation."""

from itertools import pairwise, permutations
from math import factorial, inf

import numpy as np
import pytest

from analysis.orders.blocks import Blocks
from benchmarks.order_statistics import CASES, drawn_blocks, world
from sweep.orders.base import Design
from sweep.orders.coa import ComponentOrthogonalArray
from sweep.orders.drawn import Antithetic, Random
from sweep.orders.exhaustive import Exhaustive
from sweep.orders.williams import Williams


def of_design(design: Design, tasks: str, replicates: int, seed: int = 0) -> Blocks:
    rng = np.random.default_rng(seed)
    drawn = [design.orders(tasks, rng) for _ in range(replicates)]
    return Blocks(
        np.repeat(np.arange(replicates), len(drawn[0])), [o for block in drawn for o in block]
    )


@pytest.mark.parametrize(
    ("design", "tasks", "unit"),
    [
        (Random(num_orders=12), "abcdef", 1),
        (Antithetic(num_orders=12), "abcdef", 2),
        (Williams(), "abcdef", 6),
        (Williams(), "abcde", 10),
        (ComponentOrthogonalArray(), "abcde", 20),
        (Exhaustive(), "abcd", 24),
    ],
)
def test_designs_are_known_by_their_orders(design: Design, tasks: str, unit: int) -> None:
    blocks = of_design(design, tasks, 3)
    assert (blocks.unit, blocks.possible) == (unit, factorial(len(tasks)))
    assert blocks.are_same is isinstance(design, Exhaustive)


def test_orders_of_other_tasks_are_without_number() -> None:
    blocks = Blocks(np.array([0, 0, 1, 1]), [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")])
    assert (blocks.possible, blocks.unit) == (inf, 1)


def test_random_orders_give_the_components_of_a_one_way_analysis() -> None:
    blocks = of_design(Random(num_orders=10), "abcde", 4)
    y = np.random.default_rng(1).random((40, 2))
    inside = np.array([y[blocks.replicate == r].var(axis=0, ddof=1) for r in range(4)])
    means = np.array([y[blocks.replicate == r].mean(axis=0) for r in range(4)])
    found = blocks.split(y)
    assert found.inside == pytest.approx(inside)
    assert found.order == pytest.approx(inside.mean(axis=0) * (1 - 1 / 120))
    drawn = inside.mean(axis=0) * (1 / 10 - 1 / 120)
    assert found.seed == pytest.approx(means.var(axis=0, ddof=1) - drawn)


def test_pairs_of_an_order_and_its_reverse_are_drawn_independently() -> None:
    blocks = of_design(Antithetic(num_orders=6), "abcde", 3)
    y = np.random.default_rng(2).random((18, 1))
    pairs = y.reshape(3, 3, 2).mean(axis=2)
    drawn = pairs.var(axis=1, ddof=1).mean() / 3 * (1 - 6 / 120)
    assert blocks.split(y).drawn == pytest.approx(drawn)


@pytest.mark.parametrize("rule", ["position", "precedence", "neighbours"])
def test_what_a_williams_square_balances_is_not_in_its_mean(rule: str) -> None:
    """All orders of five tasks, an effect that the square balances exactly, and no noise."""
    blocks = of_design(Williams(), "abcde", 5)
    rng = np.random.default_rng(3)
    weights = rng.random((5, 5))

    def effect(order: tuple[str, ...]) -> float:
        numbers = ["abcde".index(task) for task in order]
        places = {
            "position": enumerate(numbers),
            "precedence": ((a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :]),
            "neighbours": pairwise(numbers),
        }
        return float(sum(weights[a, b] for a, b in places[rule]))

    seeds = np.repeat(rng.random(5), 10)
    y = (np.array([effect(order) for order in blocks.orders]) + seeds)[:, None]
    truth = np.var([effect(order) for order in permutations("abcde")])
    found = blocks.split(y)
    plain = found.inside.mean()
    assert found.seed[0] == pytest.approx(np.var(seeds[::10], ddof=1), abs=0.02 * truth)
    assert found.order[0] == pytest.approx(0.9 * plain, rel=0.02)  # 10 orders, nothing in the mean
    assert plain > 1.05 * found.order[0]


def test_the_same_orders_everywhere_are_not_drawn() -> None:
    """Only what every run adds is then left in the means, beside the seed."""
    rng = np.random.default_rng(4)
    orders = [tuple(rng.permutation(list("abcde"))) for _ in range(6)]
    blocks = Blocks(np.repeat(np.arange(300), 6), orders * 300)
    order = 0.1 * rng.standard_normal(6)
    y = order + 0.01 * rng.standard_normal((300, 1)) + 0.02 * rng.standard_normal((300, 6))
    found = blocks.split(y.reshape(-1, 1))
    assert found.drawn[0] == pytest.approx(0.02**2 / 6, rel=0.1)
    assert found.seed[0] == pytest.approx(0.01**2, rel=0.3)


@pytest.mark.parametrize("name", CASES)
def test_both_variances_are_unbiased_for_every_design(name: str) -> None:
    rng = np.random.default_rng(5)
    tasks, design = CASES[name]
    ratios = []
    for _ in range(8):
        here = world(rng, tasks=tasks, own=0.02)
        pool = drawn_blocks(design, here.names, 40, rng)
        for _ in range(8):
            drawn = pool[rng.integers(0, len(pool), 5)]
            blocks = Blocks(
                np.repeat(np.arange(5), drawn.shape[1]), [here.names[i] for i in drawn.ravel()]
            )
            found = blocks.split(here.study(drawn, rng).reshape(5, -1).T)
            ratios.append(
                (
                    (found.order / here.order_sd**2).mean(),
                    found.seed.mean() / here.seed_sd**2,
                    np.mean(found.inside.mean(axis=0) / here.order_sd**2),
                )
            )
    order, seed, plain = np.mean(ratios, axis=0)
    assert order == pytest.approx(1, abs=0.06)
    assert seed == pytest.approx(1, abs=0.3)
    if name == "Williams, even":
        assert plain > 1.08  # what the variance inside replicates alone would say


def test_what_balance_leaves_is_known_as_roughly_as_it_says() -> None:
    """The variance of a chi^2 estimate is 2 / degrees times its square."""
    rng = np.random.default_rng(7)
    here = world(rng, tasks=6, own=0.04)
    for design, most in ((Williams(), 3.0), (Random(num_orders=6), 1.5)):
        pool = drawn_blocks(design, here.names, 200, rng)
        found = []
        for _ in range(80):
            drawn = pool[rng.integers(0, len(pool), 5)]
            blocks = Blocks(np.repeat(np.arange(5), 6), [here.names[i] for i in drawn.ravel()])
            values = here.study(drawn, rng)[:1].reshape(1, -1).T
            found.append(blocks.split(values).drawn[0])
        spread = 2 * np.mean(found) ** 2 / np.var(found)
        assert 1 / most < spread / blocks.drawn_degrees < most
