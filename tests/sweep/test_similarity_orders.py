"""Orders and similarity: scores of orders, extreme orders, bands, against brute force."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, pearsonr

from sweep.errors import InputError
from sweep.similarity import bands
from sweep.similarity.bands import NullLaw, balance_ends, draw_band, orders_in_band
from sweep.similarity.order_scores import (
    adjacent,
    lagged,
    linear_error,
    path_cost,
    typicality,
    typicality_gradient,
)
from sweep.similarity.paths import extreme_path, periphery_to_core


def similarities(number: int, seed: int, symmetric: bool = True) -> np.ndarray:
    S = np.random.default_rng(seed).uniform(size=(number, number))
    return (S + S.T) / 2 if symmetric else S


def correlations(number: int, seed: int) -> np.ndarray:
    """Positive semidefinite, ones on the diagonal."""
    vectors = np.random.default_rng(seed).normal(size=(number, number + 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def every(number: int) -> np.ndarray:
    return np.array(list(permutations(range(number))))


class TestScores:
    def test_path_and_lags_by_hand(self) -> None:
        S = np.array([[9.0, 1.0, 2.0], [3.0, 9.0, 4.0], [5.0, 6.0, 9.0]])
        order = np.array([[0, 2, 1]])
        assert path_cost(S, order) == [2 + 6]
        assert adjacent(S, order) == [(2 + 6) / 2]
        assert lagged(S, order, decay=0.5) == [(2 + 6 + 0.5 * 1) / 2.5]

    @given(st.integers(2, 6), st.integers(0, 1000), st.booleans())
    def test_adjacent_has_the_mean_of_all_pairs(self, number: int, seed: int, sym: bool) -> None:
        S = similarities(number, seed, sym)
        pairs = S[~np.eye(number, dtype=bool)]
        assert adjacent(S, every(number)).mean() == pytest.approx(pairs.mean())

    def test_without_decay_only_direction_matters(self) -> None:
        assert np.ptp(lagged(similarities(5, 1), every(5), decay=1.0)) < 1e-12
        assert np.ptp(lagged(similarities(5, 1, symmetric=False), every(5), decay=1.0)) > 0.01

    def test_gradient_is_the_correlation_with_typicality(self) -> None:
        S, orders = similarities(6, 2), every(6)[:50]
        for order, gradient in zip(orders, typicality_gradient(S, orders), strict=True):
            assert gradient == pytest.approx(pearsonr(typicality(S)[order], range(6)).statistic)

    def test_gradient_of_equal_tasks_is_zero(self) -> None:
        assert not typicality_gradient(np.ones((4, 4)), every(4)).any()

    def test_typicality_ignores_the_diagonal(self) -> None:
        S = np.array([[7.0, 1.0, 2.0], [3.0, 7.0, 4.0], [5.0, 6.0, 7.0]])
        assert typicality(S).tolist() == [(1 + 2 + 3 + 5) / 4, (1 + 3 + 4 + 6) / 4, 17 / 4]


class TestLinearError:
    @given(st.integers(1, 6), st.integers(0, 1000))
    def test_is_what_a_linear_student_ends_with(self, number: int, seed: int) -> None:
        """One input direction and one target vector per task, learnt one after another."""
        C_in, C_out = correlations(number, seed), correlations(number, seed + 1)
        lift = 1e-12 * np.eye(number)
        inputs, targets = np.linalg.cholesky(C_in + lift), np.linalg.cholesky(C_out + lift)
        order = np.random.default_rng(seed).permutation(number)
        weights = np.zeros((number, number))
        for task in order:
            error = targets[task] - weights @ inputs[task]
            weights += np.outer(error, inputs[task])
        left = ((targets - inputs @ weights.T) ** 2).sum() / number
        assert linear_error(C_in, order[None], C_out)[0] == pytest.approx(left, abs=1e-9)

    def test_is_nothing_for_tasks_that_share_nothing(self) -> None:
        assert not linear_error(np.zeros((4, 4)), every(4), correlations(4, 0)).any()

    def test_of_two_tasks_in_closed_form(self) -> None:
        """With inputs at cosine a and outputs at cosine b, only the first task has an error."""
        a, b = 0.6, 0.3
        C_in, C_out = np.array([[1, a], [a, 1]]), np.array([[1, b], [b, 1]])
        error = linear_error(C_in, every(2), C_out)
        assert error == pytest.approx([a**2 * (1 + a**2 - 2 * a * b) / 2] * 2)


class TestPaths:
    @given(st.integers(1, 6), st.integers(0, 1000), st.booleans(), st.booleans())
    def test_extremes_are_those_of_all_orders(
        self, number: int, seed: int, largest: bool, symmetric: bool
    ) -> None:
        S = similarities(number, seed, symmetric)
        order = extreme_path(S, largest)
        assert sorted(order) == list(range(number))
        costs = path_cost(S, every(number))
        extreme = costs.max() if largest else costs.min()
        assert path_cost(S, np.array([order]))[0] == pytest.approx(extreme)

    @pytest.mark.parametrize("largest", [True, False])
    def test_extremes_of_eight_tasks(self, largest: bool) -> None:
        S = similarities(8, 5, symmetric=False)
        costs = path_cost(S, every(8))
        found = path_cost(S, np.array([extreme_path(S, largest)]))[0]
        assert found == pytest.approx(costs.max() if largest else costs.min())

    def test_extremes_of_fifteen_tasks_beat_random_orders(self) -> None:
        S = similarities(15, 6)
        rows = np.random.default_rng(0).permuted(np.tile(np.arange(15), (20_000, 1)), axis=1)
        best, worst = np.array([extreme_path(S, True)]), np.array([extreme_path(S, False)])
        assert path_cost(S, best)[0] > path_cost(S, rows).max()
        assert path_cost(S, worst)[0] < path_cost(S, rows).min()

    def test_extremes_have_a_limit(self) -> None:
        with pytest.raises(InputError, match="at most 15 tasks, got 16"):
            extreme_path(similarities(16, 0), True)

    def test_periphery_comes_first(self) -> None:
        S = similarities(6, 3)
        order = np.array([periphery_to_core(S)])
        highest = typicality_gradient(S, every(6)).max()
        assert typicality_gradient(S, order)[0] == pytest.approx(highest)


class TestBands:
    S = similarities(6, 11)

    def test_levels_are_quantiles(self) -> None:
        law = NullLaw(self.S)
        low, high = law.bounds((0.4, 0.6))
        assert np.mean((low <= law.values) & (law.values <= high)) == pytest.approx(0.2, abs=0.01)
        assert law.bounds((0.0, 1.0)) == (-np.inf, np.inf)

    def in_band(self) -> tuple[float, float, set[tuple[int, ...]]]:
        law = NullLaw(self.S)
        low, high = law.bounds((0.3, 0.5))
        inside = law.orders[(low <= law.values) & (law.values <= high)]
        return low, high, set(map(tuple, inside.tolist()))

    def check_uniform(self, drawn: np.ndarray) -> None:
        counts = Counter(map(tuple, drawn.tolist()))
        _, _, inside = self.in_band()
        assert set(counts) == inside
        assert chisquare(list(counts.values())).pvalue > 1e-3

    def test_listed_orders_are_uniform_in_the_band(self) -> None:
        law, rng = NullLaw(self.S), np.random.default_rng(0)
        drawn = [draw_band(law, (0.3, 0.5), 10, rng) for _ in range(300)]
        self.check_uniform(np.concatenate(drawn))

    def test_rejected_orders_are_uniform_in_the_band(self, monkeypatch: pytest.MonkeyPatch) -> None:
        exact = NullLaw(self.S)
        monkeypatch.setattr(bands, "DRAWS", 500)
        exact.complete = False  # the band of the complete law, the sampler of a sampled one
        rng = np.random.default_rng(0)
        drawn = [draw_band(exact, (0.3, 0.5), 10, rng) for _ in range(300)]
        self.check_uniform(np.concatenate(drawn))

    def test_chains_are_uniform_in_the_band(self) -> None:
        low, high, _ = self.in_band()
        rng = np.random.default_rng(0)
        starts = rng.permuted(np.tile(np.arange(6), (4000, 1)), axis=1)
        ends = bands._walk(NullLaw(self.S), starts, low, high, rng)
        assert len(ends) == len(starts)
        self.check_uniform(ends)

    def test_chains_find_thin_bands(self) -> None:
        """One order in 10 000 of eleven tasks: too rare for rejection."""
        S = similarities(11, 4)
        law = NullLaw(S)
        drawn = draw_band(law, (0.0, 1e-4), 50, np.random.default_rng(0))
        assert len(drawn) > 10
        assert len(np.unique(drawn, axis=0)) == len(drawn)
        assert (adjacent(S, drawn) <= law.bounds((0.0, 1e-4))[1]).all()

    def test_sampled_levels_are_close_to_the_complete_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exact = NullLaw(self.S).bounds((0.1, 0.9))
        monkeypatch.setattr(bands, "LISTED", 100)
        assert NullLaw(self.S).bounds((0.1, 0.9)) == pytest.approx(exact, abs=0.01)

    @given(st.integers(0, 100), st.sampled_from([6, 12]))
    def test_ends_are_balanced(self, seed: int, number: int) -> None:
        """Of uniform candidates, each of the six tasks is first and last equally often."""
        candidates = np.random.default_rng(seed).permutation(every(6))[: 20 * number]
        kept = balance_ends(candidates, number)
        assert len(np.unique(kept, axis=0)) == number
        for end in (0, -1):
            counts = np.bincount(kept[:, end], minlength=6)
            assert np.ptp(counts) <= 1

    def test_all_candidates_may_be_needed(self) -> None:
        assert len(balance_ends(every(3), 6)) == 6

    def test_orders_lie_in_their_bands(self) -> None:
        levels = [(0.0, 0.1), (0.45, 0.55), (0.9, 1.0)]
        law, rng = NullLaw(self.S), np.random.default_rng(1)
        for band in levels:
            orders = orders_in_band(law, band, 6, rng)
            low, high = law.bounds(band)
            values = adjacent(self.S, orders)
            assert ((low <= values) & (values <= high)).all()
            assert len(np.unique(orders, axis=0)) == 6

    def test_empty_bands_are_named(self) -> None:
        with pytest.raises(
            InputError, match=r"only \d orders of 4 tasks .* from 0 to 0\.1, but .* 9"
        ):
            orders_in_band(NullLaw(similarities(4, 0)), (0.0, 0.1), 9, np.random.default_rng(0))


class TestPool:
    """Orders of three of six tasks, each with the tasks 1 and 4."""

    S, held = similarities(6, 12, symmetric=False), (1, 4)
    every = tuple(order for order in permutations(range(6), 3) if {1, 4} <= set(order))

    def test_law_lists_them_all(self) -> None:
        law = NullLaw(self.S, 3, self.held)
        assert sorted(map(tuple, law.orders.tolist())) == sorted(self.every)

    def test_drawn_ones_are_uniform(self) -> None:
        rows = NullLaw(self.S, 3, self.held).draw(6000, np.random.default_rng(0))
        assert (np.sort(rows, axis=1) == np.arange(6)).all()
        counts = Counter(map(tuple, rows[:, :3].tolist()))
        assert set(counts) == set(self.every)
        assert chisquare(list(counts.values())).pvalue > 1e-3

    def test_chains_exchange_tasks(self) -> None:
        law, rng = NullLaw(self.S, 3, self.held), np.random.default_rng(0)
        low, high = law.bounds((0.2, 0.8))
        start = np.tile(law.draw(1, rng), (3000, 1))
        ends = Counter(map(tuple, bands._walk(law, start, low, high, rng)[:, :3].tolist()))
        inside = law.orders[(low <= law.values) & (law.values <= high)]
        assert set(ends) == set(map(tuple, inside.tolist()))
        assert chisquare(list(ends.values())).pvalue > 1e-3

    @pytest.mark.parametrize("largest", [True, False])
    def test_extremes_are_those_of_all(self, largest: bool) -> None:
        found = extreme_path(self.S, largest, 3, self.held)
        assert found in self.every
        costs = path_cost(self.S, np.array(self.every))
        extreme = costs.max() if largest else costs.min()
        assert path_cost(self.S, np.array([found]))[0] == pytest.approx(extreme)
