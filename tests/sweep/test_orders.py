"""Designs: which orders a study runs."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sweep.errors import InputError
from sweep.orders import DESIGNS, Exhaustive, Fixed, Random
from sweep.work import Order

TASKS = ("a", "b", "c", "d")


def drawn(num_orders: int, seed: int, tasks: Order = TASKS) -> list[Order]:
    return Random(num_orders=num_orders).orders(tasks, np.random.default_rng(seed))


def test_exhaustive_gives_every_order_once() -> None:
    orders = Exhaustive().orders(TASKS, np.random.default_rng(0))
    assert len(orders) == math.factorial(len(TASKS))
    assert set(orders) == set(itertools.permutations(TASKS))


def test_exhaustive_refuses_too_many_tasks() -> None:
    with pytest.raises(InputError, match=r"at most 8 tasks, got 9 \(362,880 orders\)"):
        Exhaustive().orders("abcdefghi", np.random.default_rng(0))


@given(st.integers(1, 24), st.integers(0, 2**32))
def test_random_orders_differ_within_a_block(num_orders: int, seed: int) -> None:
    orders = drawn(num_orders, seed)
    assert len(set(orders)) == len(orders) == num_orders
    assert all(sorted(order) == sorted(TASKS) for order in orders)


@pytest.mark.parametrize("place", [0, 4], ids=["first", "last"])
def test_random_is_uniform_over_all_orders(place: int) -> None:
    counts = Counter(drawn(5, seed)[place] for seed in range(4800))
    assert len(counts) == 24
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_random_is_stable() -> None:
    """Results of different versions can be compared only if a seed keeps its orders."""
    assert ["".join(order) for order in drawn(6, seed=7)] == [
        "acbd",
        "dbca",
        "adbc",
        "bcda",
        "adcb",
        "dcab",
    ]


def test_random_takes_all_orders_but_no_more() -> None:
    assert set(drawn(6, 0, ("a", "b", "c"))) == set(itertools.permutations("abc"))
    with pytest.raises(InputError, match="num_orders 7: 3 tasks have only 6 orders"):
        drawn(7, 0, ("a", "b", "c"))


def test_fixed_gives_what_was_given() -> None:
    given_orders = (("b", "a"), ("a", "b"))
    assert Fixed(orders=given_orders).orders(("a", "b"), np.random.default_rng(0)) == [
        ("b", "a"),
        ("a", "b"),
    ]


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ([["a", "bb"]], "Unknown task in design 'fixed' 'bb'; allowed: a, b. Did you mean 'b'"),
        ([["a"]], r"order \[a\] must name each of the study's tasks exactly once: a, b"),
        ([["a", "b", "a"]], r"order \[a, b, a\] must name each"),
        ([["a", "b"], ["b", "a"], ["a", "b"]], "the same order is given twice"),
    ],
)
def test_fixed_says_what_is_wrong(orders: list[list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Fixed(orders=orders).orders(("a", "b"), np.random.default_rng(0))


def test_designs_are_registered_under_their_names() -> None:
    assert all(name == design.model_fields["name"].default for name, design in DESIGNS.items())
