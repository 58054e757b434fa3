"""What memories hold: uniform draws, or the same for every order of tasks."""

from collections import Counter
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from methods.data import Stage
from methods.replay.buffers import Balanced, Buffer, Item, Reservoir, by_task, rank, share_out
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, same, state_in

SIZE = 5
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


def stage(prefix: tuple[str, ...], samples: dict[str, int], seed: int = 0) -> Stage:
    """The stage that learns the last task of a prefix, meeting every sample of it twice."""
    ids = torch.arange(samples[prefix[-1]])
    tasks: Any = {
        task: SimpleNamespace(
            task=SimpleNamespace(train=SimpleNamespace(labels=np.arange(samples[task]) % 3))
        )
        for task in prefix
    }
    return Stage(
        prefix=prefix,
        tasks=tasks,
        batch_size=4,
        seed=seed + len(prefix),
        replicate_seed=seed,
        stream=[(prefix[-1], part) for part in [*ids.split(4), *ids.split(4)]],
    )


def meet(buffer: Buffer, seed: int = 0, **samples: int) -> list[Item]:
    """What is held after tasks with so many samples each."""
    for k in range(1, len(samples) + 1):
        buffer.take_in(stage(tuple(samples)[:k], samples, seed))
    return buffer.items


class TestReservoir:
    def test_every_sample_met_is_kept_with_equal_probability(self) -> None:
        draws, met = 1500, 20
        kept = Counter(
            item for seed in range(draws) for item in meet(Reservoir(SIZE), 10 * seed, a=12, b=8)
        )
        assert len(kept) == met
        expected = draws * SIZE / met
        # Draws without replacement: the variance of a count is smaller than Poisson's.
        statistic = sum((n - expected) ** 2 for n in kept.values()) / expected
        statistic *= (met - 1) / (met - SIZE)
        assert chi2.sf(statistic, met - 1) > 1e-3

    def test_is_full_but_never_over_full(self) -> None:
        assert sorted(meet(Reservoir(SIZE), a=3)) == [("a", 0), ("a", 1), ("a", 2)]
        assert len(set(meet(Reservoir(SIZE), a=3, b=1))) == 4
        assert len(set(meet(Reservoir(SIZE), a=30, b=10, c=10))) == SIZE


class TestBalanced:
    def test_is_the_same_for_every_order(self) -> None:
        samples = {"a": 30, "b": 7, "c": 30, "d": 12}
        held = [
            meet(Balanced(37), **{task: samples[task] for task in order})
            for order in permutations(samples)
        ]
        assert len(held[0]) == 37
        assert all(items == held[0] for items in held)

    def test_keeps_the_beginning_of_what_it_kept(self) -> None:
        buffer = Balanced(12)
        before = by_task(list(meet(buffer, a=30)))
        for prefix in (("a", "b"), ("a", "b", "c")):
            buffer.take_in(stage(prefix, dict.fromkeys(prefix, 30)))
            now = by_task(buffer.items)
            assert now["a"] == before["a"][: 12 // len(prefix)]
            before = now

    def test_other_replicates_keep_other_samples(self) -> None:
        one, other = (meet(Balanced(10), seed, a=40) for seed in (0, 1))
        assert set(one) != set(other)

    def test_tasks_of_equal_size_keep_other_samples(self) -> None:
        held = by_task(meet(Balanced(20), a=40, b=40))
        assert held["a"] != held["b"]


@given(labels=LABELS, seed=st.integers(0, 99))
def test_every_beginning_of_a_ranking_is_balanced(labels: np.ndarray, seed: int) -> None:
    ranking = rank(labels, seed)
    assert sorted(ranking) == list(range(len(labels)))
    for end in range(1, len(ranking) + 1):
        held = Counter(labels[ranking[:end]].tolist())
        most = max(held.values())
        left = set(labels[ranking[end:]].tolist())
        assert all(held[label] >= most - 1 for label in left)


def test_rankings_are_shuffled_within_and_between_classes() -> None:
    labels = np.arange(60) % 3
    rankings = [rank(labels, seed) for seed in range(20)]
    assert {labels[ranking[0]] for ranking in rankings} == {0, 1, 2}
    assert len({ranking[0] for ranking in rankings}) > 10


@given(
    size=st.integers(1, 50),
    available=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 20), min_size=1),
)
def test_shares_are_equal_and_use_all_places(size: int, available: dict[str, int]) -> None:
    shares = share_out(size, available)
    assert sum(shares.values()) == min(size, sum(available.values()))
    unbounded = [share for task, share in shares.items() if share < available[task]]
    for task, share in shares.items():
        assert share <= available[task]
        assert share <= min(unbounded, default=share) + 1


@given(
    size=st.integers(1, 50),
    available=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 20), min_size=2),
)
def test_shares_only_shrink(size: int, available: dict[str, int]) -> None:
    after = share_out(size, available)
    for task in available:
        before = share_out(size, {name: available[name] for name in available if name != task})
        assert all(after[name] <= share for name, share in before.items())


@pytest.mark.parametrize("kind", [Reservoir, Balanced])
def test_state_holds_ids_and_puts_them_back(kind: type[Buffer]) -> None:
    buffer, other = kind(SIZE), kind(SIZE)
    held = list(meet(buffer, a=30, b=10))
    state = buffer.state()
    assert {tensor.dtype for tensor in state.values()} == {torch.int64}
    assert sum(tensor.numel() for tensor in state.values()) <= 1 + 2 * SIZE
    meet(other, seed=4, c=9)
    other.load_state(state | {"other": torch.zeros(3)})
    assert other.items == held
    assert same(other.state(), state)


def test_balanced_memory_of_a_study_depends_on_the_tasks_alone(models: Path) -> None:
    memories = []
    for order in permutations("abc"):
        bench = Workbench(toy_study(models, {"er": {"memory": 10}}), "er")
        *_, last = bench.learn(order).values()
        memories.append(
            {n: t.tolist() for n, t in state_in(last).items() if n.startswith("extra/")}
        )
    assert sum(len(held) for held in memories[0].values()) == 10
    assert all(memory == memories[0] for memory in memories)
