"""Matrix tests: scikit-bio's and statsmodels' numbers, and errors where nothing is to be found."""

import numpy as np
import pytest
import statsmodels.api as sm
from skbio.stats.distance import mantel as skbio_mantel

from analysis import mantel, mrqap


def symmetric(rng: np.random.Generator, size: int = 8) -> np.ndarray:
    x = rng.random((size, size))
    x = x + x.T
    np.fill_diagonal(x, 0)
    return x


def test_mantel_is_scikit_bios() -> None:
    rng = np.random.default_rng(0)
    x = symmetric(rng)
    y = x + 2 * symmetric(rng)
    expected_r, expected_p, _ = skbio_mantel(x, y, permutations=4999, seed=1)
    r, p = mantel(x, y)
    assert r == pytest.approx(expected_r)
    assert p == pytest.approx(expected_p, abs=0.03)


def test_mantel_tries_all_permutations_of_few_tasks() -> None:
    x = symmetric(np.random.default_rng(1), 5)
    r, p = mantel(x, 3 * x + 1)
    assert r == pytest.approx(1)
    assert p == pytest.approx(1 / 120)


def test_coefficients_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(2)
    y, a, b = rng.random((3, 6, 6))
    off = ~np.eye(6, dtype=bool)
    expected = sm.OLS(y[off], sm.add_constant(np.column_stack([a[off], b[off]]))).fit()
    found = mrqap(y, {"a": a, "b": b}, num=10)
    assert found["coefficient"].to_numpy() == pytest.approx(expected.params[1:])
    assert found["t"].to_numpy() == pytest.approx(expected.tvalues[1:])
    assert found["r2"].iloc[0] == pytest.approx(expected.rsquared)


def test_a_predictor_that_only_copies_another_is_seen_through() -> None:
    """Alone the copy correlates with y; beside the cause it is as good as chance."""
    rng = np.random.default_rng(3)
    alone, beside = [], []
    for _ in range(20):
        cause = rng.random((9, 9))
        copy = cause + 0.5 * rng.random((9, 9))
        y = cause + 0.1 * rng.random((9, 9))
        alone.append(mantel(copy, y, 99)[1])
        found = mrqap(y, {"cause": cause, "copy": copy}, num=99)
        assert found.loc["cause", "p"] <= 0.02
        beside.append(found.loc["copy", "p"])
    assert max(alone) <= 0.05
    assert np.median(beside) > 0.2


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Cells that share a task are correlated; the permutations must keep that."""
    rng = np.random.default_rng(4)
    draws, alarms = 400, 0
    for _ in range(draws):
        x, y = (
            rng.standard_normal((7, 7)) + rng.standard_normal((7, 1)) + rng.standard_normal((1, 7))
            for _ in range(2)
        )
        alarms += mantel(x, y, 199)[1] <= 0.05
    assert 0.02 <= alarms / draws <= 0.085
