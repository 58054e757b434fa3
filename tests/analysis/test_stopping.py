"""The confidence sequence: its formula, what it promises, and when a study may stop."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from analysis import t_interval
from analysis.inference.confidence_sequences import (
    FIRST_LOOK,
    anytime_factor,
    anytime_interval,
    block_means,
    convergence,
    stopping_point,
)
from analysis.inference.expected_precision import t_factor
from tests.analysis.invented_runs import runs_of

VALUES = st.lists(st.floats(-1, 1), min_size=FIRST_LOOK, max_size=20)


def half_width(values: np.ndarray) -> float:
    found = anytime_interval(values)
    return found.high - found.mean


@given(VALUES)
def test_bounds_are_where_the_martingale_reaches_its_threshold(values: list[float]) -> None:
    """M_n = n^(-1/2) (1 + T_n^2 / (n-1))^(n/2), with T_n the t statistic of a bound as the mean.

    P(M_m is above) + E[M_m where it is below] / threshold = 5 %, the extended Ville inequality.
    """
    x = np.array(values)
    if x.std() < 1e-3:
        return
    m, n = FIRST_LOOK, len(x)
    a = anytime_factor(m) * m**0.5  # the t statistic that reaches the threshold at the first look
    threshold = m**-0.5 * (1 + a**2 / (m - 1)) ** (m / 2)
    for bound in anytime_interval(x)[1:]:
        t = stats.ttest_1samp(x, bound).statistic
        assert n**-0.5 * (1 + t**2 / (n - 1)) ** (n / 2) == pytest.approx(threshold)
    above = 2 * stats.t.sf(a, m - 1)
    below, _ = integrate.quad(
        lambda t: m**-0.5 * (1 + t**2 / (m - 1)) ** (m / 2) * stats.t.pdf(t, m - 1), -a, a
    )
    assert above + below / threshold == pytest.approx(0.05)


def test_there_is_none_before_the_first_look() -> None:
    assert np.isnan(anytime_interval([0.1, 0.2, 0.4])[1:]).all()
    assert anytime_interval([0.1, 0.2, 0.4]).mean == pytest.approx(0.7 / 3)


@given(VALUES)
def test_it_holds_the_t_interval(values: list[float]) -> None:
    fixed, anytime = t_interval(values), anytime_interval(values)
    assert anytime.low <= fixed.low
    assert fixed.high <= anytime.high


def test_looking_costs_less_than_twice_the_width() -> None:
    """The figures of FIRST_LOOK's docstring."""
    for n in range(FIRST_LOOK, 40):
        assert 1.65 < anytime_factor(n) / t_factor(n) < 1.8


@pytest.mark.slow
def test_looking_after_every_replicate_errs_as_rarely_as_it_says() -> None:
    """At most 5 % of long sequences ever leave the truth out; of t intervals far more do."""
    rng = np.random.default_rng(1)
    draws, longest = 20_000, 40
    x = rng.standard_normal((draws, longest))
    wrong, peeked = np.zeros(draws, bool), np.zeros(draws, bool)
    for n in range(FIRST_LOOK, longest + 1):
        t = np.abs(x[:, :n].mean(axis=1)) / x[:, :n].std(axis=1, ddof=1)
        wrong |= t > anytime_factor(n)
        peeked |= t > t_factor(n)
    assert 0.03 < wrong.mean() <= 0.05
    assert peeked.mean() > 0.15


def frame(*columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({("b", f"m{i}"): column for i, column in enumerate(columns)})


@given(st.integers(0, 1000), st.floats(0.005, 0.2))
def test_the_stopping_point_is_the_first_and_stays(seed: int, tolerance: float) -> None:
    means = frame(0.05 * np.random.default_rng(seed).standard_normal(15))
    stop = stopping_point(means, tolerance)
    narrow = [n for n in range(FIRST_LOOK, 16) if half_width(means.iloc[:n, 0]) < tolerance]
    assert stop == (narrow[0] if narrow else None)
    for n in range(16):
        assert stopping_point(means.iloc[:n], tolerance) == (stop if stop and n >= stop else None)


def test_every_contrast_has_to_be_known() -> None:
    calm, wild = np.tile([0.5, 0.501], 5), np.tile([0.2, 0.8], 5)
    assert stopping_point(frame(calm), 0.01) == FIRST_LOOK
    assert stopping_point(frame(calm, wild), 0.01) is None


def test_broken_replicates_do_not_count() -> None:
    x = np.array([0.5, np.nan, 0.501, 0.5, np.nan, 0.501])
    assert stopping_point(frame(x), 0.01) == 6
    assert stopping_point(frame(x[:5]), 0.01) is None
    assert stopping_point(pd.DataFrame(), 0.01) is None


def test_means_are_of_complete_replicates() -> None:
    table = np.random.default_rng(2).random((5, 3))
    gap = table.copy()
    gap[2, 1] = np.nan
    runs = runs_of({"a": table, "b": gap}, planned=3)
    means = block_means(runs, "average_accuracy")
    assert means["b", "a"].to_numpy() == pytest.approx(table.mean(axis=1))
    assert list(means.index[means["b", "b"].isna()]) == [2]
    differences = block_means(runs, "average_accuracy", "a")
    assert list(differences.columns) == [("b", "b")]
    assert differences["b", "b"].to_numpy() == pytest.approx(np.zeros(4))


def test_convergence_ends_with_what_is_known() -> None:
    table = np.random.default_rng(3).random((6, 3))
    found = convergence(block_means(runs_of({"a": table}), "average_accuracy"))
    assert found["replicates"].tolist() == [1, 2, 3, 4, 5, 6]
    last = found.iloc[-1]
    assert (last["mean"], last["low"], last["high"]) == pytest.approx(
        t_interval(table.mean(axis=1))
    )
    sequence = anytime_interval(table.mean(axis=1))
    assert (last["anytime_low"], last["anytime_high"]) == pytest.approx(sequence[1:])


def test_no_interval_on_the_way_goes_beyond_what_can_be() -> None:
    table = np.array([[0.97], [1.0], [0.99], [1.0], [0.9]])
    means = block_means(runs_of({"a": table}), "average_accuracy")
    free, cut = convergence(means), convergence(means, (0.0, 1.0))
    bounds = ["low", "high", "anytime_low", "anytime_high"]
    assert (free[bounds].max() > 1).any()
    assert cut[bounds].to_numpy() == pytest.approx(np.clip(free[bounds], 0, 1), nan_ok=True)
    assert cut["mean"].equals(free["mean"])
