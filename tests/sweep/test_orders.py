"""Designs: which orders a study runs, and how balanced they are."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

import methods.testing.toy  # noqa: F401  (registers the benchmark)
from analysis.data.published_orders import NAMED, NUMBERED
from sweep.errors import InputError
from sweep.orders import DESIGNS
from sweep.orders.balance import balance, ranges, sentence
from sweep.orders.base import Design
from sweep.orders.coa import ComponentOrthogonalArray
from sweep.orders.drawn import Antithetic, Random
from sweep.orders.exhaustive import Exhaustive
from sweep.orders.given import Fixed
from sweep.orders.order import Order
from sweep.orders.subsets import Subsets
from sweep.orders.williams import Williams
from sweep.registry import resolve
from tests.sweep.plans import plan_of, study_of

TASKS = ("a", "b", "c", "d")
DRAWN = [
    Random(num_orders=6),
    Antithetic(num_orders=6),
    Williams(),
    ComponentOrthogonalArray(),
    Subsets(size=2, num_subsets=3),
    Subsets(size=3, num_subsets=2, design=Random(num_orders=2)),
]
"""Designs that depend on the seed."""


def tasks_of(number: int) -> Order:
    return tuple(f"t{i}" for i in range(number))


def made(design: Design, seed: int = 0, tasks: Order = TASKS) -> list[Order]:
    return design.orders(tasks, np.random.default_rng(seed))


@given(st.sampled_from(DRAWN), st.integers(0, 2**32))
def test_orders_of_a_block_differ(design: Design, seed: int) -> None:
    orders = made(design, seed)
    assert len(set(orders)) == len(orders)
    assert all(set(order) <= set(TASKS) and len(set(order)) == len(order) for order in orders)
    if not isinstance(design, Subsets):
        assert {len(order) for order in orders} == {len(TASKS)}


@pytest.mark.parametrize("design", DRAWN, ids=repr)
def test_every_row_is_uniform(design: Design) -> None:
    """What every design rests on: plain means over its orders have no bias."""
    blocks = [made(design, seed) for seed in range(2400)]
    for row in (0, 1, -1):
        counts = Counter(block[row] for block in blocks)
        size = len(blocks[0][0])
        assert len(counts) == math.perm(4, size)
        assert chisquare(list(counts.values())).pvalue > 1e-3


STABLE = {
    "random": "acbd dbca adbc bcda adcb dcab",
    "antithetic": "acbd dbca adbc cbda bcda adcb",
    "williams": "adcb cabd bcda dbac",
    "coa": "acbd cadb bdac dbca abdc cdba bacd dcab adcb cbad bcda dabc",
    "subsets": "dc cd ca ac ab ba",
}


@pytest.mark.parametrize("design", DRAWN[:5], ids=lambda design: design.name)
def test_orders_are_stable(design: Design) -> None:
    """Results of different versions can be compared only if a seed keeps its orders."""
    assert " ".join("".join(order) for order in made(design, seed=7)) == STABLE[design.name]


class TestBalance:
    """Counts of all cells, so that a range of one number says that all of them are equal."""

    @pytest.mark.parametrize("number", range(2, 17))
    def test_of_williams(self, number: int) -> None:
        orders = made(Williams(), tasks=tasks_of(number))
        each = 1 + number % 2
        assert len(orders) == each * number
        assert balance(orders).ranges() == {
            "positions": (each, each),
            "successions": (each, each),
            "precedences": (len(orders) // 2,) * 2,
        }
        assert {order[::-1] for order in orders} == set(orders)

    @pytest.mark.parametrize("number", [2, 3, 4, 5, 7, 8, 9, 11, 13, 16])
    def test_of_coa(self, number: int) -> None:
        orders = made(ComponentOrthogonalArray(), tasks=tasks_of(number))
        assert len(orders) == number * (number - 1)
        assert balance(orders).ranges() == {
            "positions": (number - 1,) * 2,
            "successions": (number - 1,) * 2,
            "precedences": (len(orders) // 2,) * 2,
        }
        pairs = Counter(
            (places, tuple(order[k] for k in places))
            for order in orders
            for places in itertools.combinations(range(number), 2)
        )
        assert len(pairs) == math.comb(number, 2) * number * (number - 1)
        assert set(pairs.values()) == {1}

    @given(st.integers(4, 16), st.integers(1, 6), st.integers(0, 2**32))
    def test_of_antithetic(self, number: int, pairs: int, seed: int) -> None:
        orders = made(Antithetic(num_orders=2 * pairs), seed, tasks_of(number))
        assert balance(orders).ranges()["precedences"] == (pairs, pairs)

    def test_of_exhaustive(self) -> None:
        assert balance(made(Exhaustive())).ranges() == {
            "positions": (6, 6),
            "successions": (6, 6),
            "precedences": (12, 12),
        }

    def test_counts_one_by_one(self) -> None:
        found = balance([("a", "c", "b"), ("b", "a")])
        assert found.tasks == ("a", "b", "c")
        assert found.positions.tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 0]]
        assert found.successions.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
        assert found.precedences.tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0]]

    def test_range_over_blocks_counts_absent_tasks(self) -> None:
        blocks: list[list[Order]] = [[("a", "b"), ("b", "a")], [("a", "b"), ("a", "b")]]
        assert ranges(blocks, "ab")["precedences"] == (0, 2)
        assert ranges(blocks[:1], "ab")["precedences"] == (1, 1)
        assert ranges(blocks[:1], "abc")["precedences"] == (0, 1)

    def test_of_one_task_has_no_pairs(self) -> None:
        assert balance([("a",)]).ranges()["successions"] == (0, 0)

    def test_in_words(self) -> None:
        assert sentence({"positions": (1, 1), "successions": (0, 2), "precedences": (4, 4)}) == (
            "In a replicate each task is once at every position, 0 to 2 times directly after "
            "every other, 4 times before every other."
        )


class TestExhaustive:
    def test_gives_every_order_once(self) -> None:
        assert sorted(made(Exhaustive())) == sorted(itertools.permutations(TASKS))

    def test_refuses_too_many_tasks(self) -> None:
        with pytest.raises(InputError, match=r"at most 8 tasks, got 9 \(362,880 orders\)"):
            made(Exhaustive(), tasks=tasks_of(9))


@pytest.mark.parametrize("kind", [Random, Antithetic])
def test_drawn_takes_all_orders_but_no_more(kind: Any) -> None:
    tasks = ("a", "b", "c")
    assert set(made(kind(num_orders=6), tasks=tasks)) == set(itertools.permutations(tasks))
    with pytest.raises(InputError, match="num_orders 8: 3 tasks have only 6 orders"):
        made(kind(num_orders=8), tasks=tasks)


def test_antithetic_puts_reverses_side_by_side() -> None:
    orders = made(Antithetic(num_orders=8))
    assert [order[::-1] for order in orders[::2]] == orders[1::2]


def test_williams_needs_two_tasks() -> None:
    with pytest.raises(InputError, match="needs two or more tasks, got 1"):
        made(Williams(), tasks=("a",))


@pytest.mark.parametrize("number", [1, 6, 10, 12, 14, 15])
def test_coa_needs_a_power_of_a_prime(number: int) -> None:
    with pytest.raises(InputError, match=rf"power of a prime .* got {number}; use design 'will"):
        made(ComponentOrthogonalArray(), tasks=tasks_of(number))


class TestSubsets:
    def test_are_as_many_as_asked_for_each_with_a_design_of_its_own(self) -> None:
        orders = made(Subsets(size=3, num_subsets=5), tasks=tasks_of(6))
        by_subset: dict[frozenset[str], list[Order]] = {}
        for order in orders:
            by_subset.setdefault(frozenset(order), []).append(order)
        assert len(by_subset) == 5
        for subset, own in by_subset.items():
            assert set(own) == set(itertools.permutations(subset))  # a square of three tasks

    def test_may_be_all_there_are(self) -> None:
        subsets = {frozenset(order) for order in made(Subsets(size=3, num_subsets=4))}
        assert subsets == {frozenset(three) for three in itertools.combinations(TASKS, 3)}

    @pytest.mark.parametrize(
        ("size", "possible"), [(3, "only 4 subsets of size 3"), (5, "only 0 subsets of size 5")]
    )
    def test_cannot_be_more(self, size: int, possible: str) -> None:
        with pytest.raises(InputError, match=f"num_subsets 7: 4 tasks have {possible}"):
            made(Subsets(size=size, num_subsets=7))

    def test_do_not_nest(self) -> None:
        one = {"name": "subsets", "size": 2, "num_subsets": 1}
        with pytest.raises(ValueError, match="cannot make the orders of a subset with 'subsets'"):
            Subsets.model_validate(one | {"design": one})

    def test_are_planned_and_shared_like_other_orders(self) -> None:
        """Three orders of a pool of four tasks, whose stages are those of their own prefixes."""
        design = {
            "name": "fixed",
            "all_tasks": False,
            "orders": [["a", "b"], ["a", "c", "d"], ["d"]],
        }
        plan = plan_of(study_of([TASKS], {"finetune": {}, "individual": {}}, design=design))
        assert [len(run.stages) for run in plan.runs] == [3, 4, 2] * 2
        trained = [unit for unit in plan.units.values() if unit.kind == "train"]
        assert Counter(unit.method for unit in trained) == {"finetune": 5, "individual": 4}


class TestFixed:
    def test_gives_what_was_given(self) -> None:
        orders = (("b", "a"), ("a", "b"))
        assert made(Fixed(orders=orders), tasks=("a", "b")) == [("b", "a"), ("a", "b")]

    def test_need_not_be_whole(self) -> None:
        orders = (("b", "a"), ("c",))
        assert made(Fixed(orders=orders, all_tasks=False)) == list(orders)

    @pytest.mark.parametrize(
        ("orders", "all_tasks", "message"),
        [
            ([["a", "bb"]], True, "Unknown task in design 'fixed' 'bb'; allowed: a, b. Did you"),
            ([["a"]], True, r"order \[a\] must name each of the study's tasks exactly once: a, b"),
            ([["a", "b", "a"]], True, r"order \[a, b, a\] must name each"),
            ([["a", "b"], ["b", "a"], ["a", "b"]], True, "the same order is given twice"),
            ([["b", "b"]], False, r"order \[b, b\] must name one or more tasks, each once"),
            ([[]], False, r"order \[\] must name one or more tasks"),
            ([["c"]], False, "Unknown task in design 'fixed' 'c'"),
            (["mtil-3"], True, "Unknown published order 'mtil-3'.*Did you mean 'mtil-"),
            (["mtil-1"], True, "order 'mtil-1' needs a task 'Aircraft'; the benchmark has a, b"),
            (["apd-a"], True, "order 'apd-a' is for 10 tasks, but the benchmark has 2"),
        ],
    )
    def test_says_what_is_wrong(self, orders: Any, all_tasks: bool, message: str) -> None:
        with pytest.raises(InputError, match=message):
            made(Fixed(orders=orders, all_tasks=all_tasks), tasks=("a", "b"))

    @pytest.mark.parametrize("name", NAMED)
    def test_published_orders_take_the_benchmarks_spelling(self, name: str) -> None:
        spelt = {task: f"{task.lower()[:3]}_{task.lower()[3:]}" for task in NAMED[name]}
        (order,) = made(Fixed(orders=(name,)), tasks=tuple(sorted(spelt.values())))
        assert order == tuple(spelt[task] for task in NAMED[name])

    @pytest.mark.parametrize("name", NUMBERED)
    def test_published_orders_without_names_go_by_place(self, name: str) -> None:
        (order,) = made(Fixed(orders=(name,)), tasks=tuple("abcdefghij"))
        assert sorted(order) == list("abcdefghij")
        assert order[1] == "abcdefghij"[NUMBERED[name][1]]

    def test_published_and_given_orders_mix(self) -> None:
        reverse = tuple("jihgfedcba")
        orders = made(Fixed(orders=("apd-a", reverse)), tasks=tuple("abcdefghij"))
        assert orders == [reverse[::-1], reverse]


def test_designs_are_registered_under_their_names() -> None:
    for name in DESIGNS:
        assert resolve("designs", name).model_fields["name"].default == name
