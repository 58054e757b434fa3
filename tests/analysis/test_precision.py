"""What more replicates would buy: closed forms, and what came of it when they were there."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import t_interval
from analysis.inference.confidence_sequences import FIRST_LOOK, anytime_factor
from analysis.inference.expected_precision import precision, replicates_for, t_factor


def frame(*columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({("b", f"m{i}"): column for i, column in enumerate(columns)})


def test_the_replicates_there_are_have_their_own_interval() -> None:
    x = np.random.default_rng(0).random(7)
    (row,) = precision(frame(x), [7]).itertuples()
    found = t_interval(x)
    assert row.half_width == pytest.approx(found.high - found.mean)
    assert (row.known, row.sd) == (7, pytest.approx(x.std(ddof=1)))


def test_broken_replicates_and_single_ones_are_nothing_to_go_by() -> None:
    one = np.array([0.1, np.nan, np.nan])
    two = np.array([0.1, np.nan, 0.3])
    found = precision(frame(one, two), [5])
    assert found["method"].tolist() == ["m1"]
    assert found["known"].tolist() == [2]


@pytest.mark.parametrize(("half_width", "expected"), [(0.5, 18), (0.25, 64), (0.1, 387)])
def test_sizes_of_the_textbook(half_width: float, expected: int | None) -> None:
    """Half-widths in standard deviations; the least n with t(n-1) / sqrt(n) below."""
    assert replicates_for(half_width, 1.0) == expected


@given(st.floats(0.05, 3), st.sampled_from([t_factor, anytime_factor]))
def test_one_replicate_less_would_not_do(half_width: float, factor: Callable[[int], float]) -> None:
    n = replicates_for(half_width, 1.0, factor)
    assert factor(n) < half_width <= factor(n - 1)
    assert n >= (FIRST_LOOK if factor is anytime_factor else 2)


def test_what_nobody_could_pay_is_said_so() -> None:
    assert replicates_for(1e-6, 1.0) is None
    assert replicates_for(0.01, 0.0) == 2
    assert replicates_for(0.01, 0.0, anytime_factor) == FIRST_LOOK


@pytest.mark.slow
def test_the_standard_deviation_is_covered_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    found = precision(frame(*rng.standard_normal((4000, 5))), [5])
    covered = ((found["sd_low"] <= 1) & (found["sd_high"] >= 1)).mean()
    assert 0.94 <= covered <= 0.96
