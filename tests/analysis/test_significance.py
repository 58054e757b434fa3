"""Tests over replicates: the libraries' numbers, brute force, and errors by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis import compare
from analysis.inference.significance import holm, max_t, probability_inside, significance, verdict
from tests.analysis.invented_runs import runs_of


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).random(9) ** 4
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_one_column_of_max_t_is_the_exact_sign_flip_test() -> None:
    x = np.random.default_rng(1).normal(0.3, 1, (7, 1))
    exact = stats.permutation_test(
        (x[:, 0],), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert max_t(x) == pytest.approx(exact.pvalue)


def test_max_t_knows_that_columns_are_the_same() -> None:
    """Holm would double p; the joint flips see that there is nothing to correct for."""
    x = np.random.default_rng(2).normal(0.5, 1, (8, 1))
    twice = np.hstack([x, x])
    assert max_t(twice) == pytest.approx(np.repeat(max_t(x), 2))


def test_more_replicates_than_can_be_enumerated() -> None:
    rng = np.random.default_rng(3)
    d = rng.normal([0.0, 1.0], 1, (30, 2))
    none, clear = max_t(d)
    assert none > 0.05
    assert clear == pytest.approx(1 / 4096)


def test_p_values_are_scipys() -> None:
    d = pd.DataFrame(np.random.default_rng(4).normal(0.5, 1, (9, 3)), columns=list("abc"))
    found = significance(d)
    assert found["p"].to_numpy() == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    assert found["p_wilcoxon"].to_numpy() == pytest.approx(stats.wilcoxon(d, axis=0).pvalue)


def test_equal_methods_are_not_significant() -> None:
    found = significance(pd.DataFrame({"same": [0.0, 0.0, 0.0], "shifted": [0.1, 0.1, 0.1]}))
    assert found.loc["same"].tolist() == [1, 1, 1, 1]
    assert found.loc["shifted", "p"] == 0
    assert found.loc["shifted", "p_max_t"] == 2 / 2**3


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((0.01, 0.02), "better"),
        ((-0.02, -0.01), "worse"),
        ((-0.004, 0.003), "equivalent"),
        ((-0.004, 0.02), "undecided"),
        ((0.001, 0.02), "undecided"),
        ((np.nan, np.nan), "undecided"),
    ],
)
def test_verdicts(bounds: tuple[float, float], expected: str) -> None:
    assert verdict(*bounds, rope=0.005) == expected


def test_probability_inside_the_interval_itself_is_its_level() -> None:
    half = stats.t.ppf(0.975, 4) * 0.01
    assert probability_inside(0.0, -half, half, 5, half) == pytest.approx(0.95)
    assert probability_inside(0.1, 0.1, 0.1, 5, 0.2) == 1


def test_comparison_judges_in_the_direction_of_the_metric() -> None:
    rng = np.random.default_rng(5)
    base = 0.5 + 0.01 * rng.standard_normal((5, 6))
    found = compare(runs_of({"base": base, "m": base + 0.1, "n": base}), "base")
    found = found.set_index(["method", "metric"])
    assert found.loc[("m", "average_accuracy"), "verdict"] == "better"
    assert found.loc[("m", "forgetting_max"), "verdict"] == "better"
    assert found.loc[("n", "forgetting_max"), "verdict"] == "equivalent"
    assert found.loc[("n", "forgetting_max"), "p_holm"] == 1


def test_a_broken_replicate_has_no_p_value() -> None:
    base = np.random.default_rng(6).random((3, 4))
    found = compare(runs_of({"base": base, "m": base + 0.1}, planned=5), "base")
    assert found["p"].isna().all()
    assert set(found["verdict"]) == {"undecided"}


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_family_wise_error_is_kept(correlation: float) -> None:
    """Six methods without any difference to the baseline, eight replicates."""
    rng = np.random.default_rng(7)
    draws, errors = 1500, {"p_holm": 0, "p_max_t": 0}
    for _ in range(draws):
        d = np.sqrt(1 - correlation) * rng.standard_normal((8, 6))
        d += np.sqrt(correlation) * rng.standard_normal((8, 1))
        found = significance(pd.DataFrame(d))
        for name in errors:
            errors[name] += bool((found[name] <= 0.05).any())
    allowed = stats.binom.ppf(0.999, draws, 0.05)
    assert max(errors.values()) <= allowed
    assert errors["p_max_t"] >= stats.binom.ppf(0.001, draws, 0.04)  # exact: no power given away
