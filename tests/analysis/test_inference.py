"""Intervals and comparisons: closed forms, pairing, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare, summary, t_interval
from tests.analysis.invented_runs import runs_of


def one(frame: pd.DataFrame, method: str, metric: str = "average_accuracy") -> pd.Series:
    (index,) = np.flatnonzero((frame["method"] == method) & (frame["metric"] == metric))
    return frame.iloc[index]


def test_interval_is_scipys() -> None:
    values = np.random.default_rng(0).random(7)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = t_interval(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(values.mean())


def test_two_values_by_hand() -> None:
    found = t_interval([0.4, 0.6])
    assert found.high - 0.5 == pytest.approx(12.7062 * 0.1, rel=1e-4)


def test_summary_rests_on_replicate_means() -> None:
    table = np.random.default_rng(1).random((4, 9))
    found = one(summary(runs_of({"m": table})), "m")
    expected = t_interval(table.mean(axis=1))
    assert (found["mean"], found["low"], found["high"]) == pytest.approx(expected)
    assert (found["replicates"], found["runs"], found["note"]) == (4, 36, "")
    assert found["sd_runs"] == pytest.approx(table.std(ddof=1))
    assert (found["min"], found["max"]) == (table.min(), table.max())
    assert found["max_order"] == (f"t{np.unravel_index(table.argmax(), table.shape)[1]}", "x")


def test_one_replicate_has_no_interval_and_says_why() -> None:
    found = one(summary(runs_of({"m": np.random.default_rng(2).random((1, 24))})), "m")
    assert np.isnan(found["low"])
    assert np.isnan(found["high"])
    assert "one seed; orders share prefixes" in found["note"]


def test_undefined_metrics_have_no_row() -> None:
    assert "bwt" not in set(summary(runs_of({"m": np.full((2, 2), 0.5)}))["metric"])


def test_without_a_complete_replicate_there_is_no_interval() -> None:
    table = np.random.default_rng(3).random((3, 4))
    found = one(summary(runs_of({"m": table}, planned=5)), "m")
    assert np.isnan(found["low"])
    assert "no replicate is complete" in found["note"]


def test_comparison_is_paired() -> None:
    """What the order does to both methods cancels; only an unpaired interval would hold it."""
    rng = np.random.default_rng(4)
    base = rng.random((5, 8))
    better = base + 0.02 + 0.001 * rng.standard_normal((5, 8))
    shuffled = runs_of({"base": base, "m": better}).sample(frac=1, random_state=0)
    found = one(compare(shuffled, "base"), "m")
    expected = t_interval((better - base).mean(axis=1))
    assert (found["mean"], found["low"], found["high"]) == pytest.approx(expected)
    assert (found["wins"], found["ties"], found["win_rate"]) == (40, 0, 1.0)


def test_lower_forgetting_wins() -> None:
    base, other = np.full((2, 3), 0.5), np.full((2, 3), 0.5)
    other[0, 0], other[1, 1] = 0.6, 0.4
    found = one(compare(runs_of({"base": base, "m": other}), "base"), "m", "forgetting_max")
    assert (found["wins"], found["ties"], found["win_rate"]) == (1, 4, 0.5)
    assert found["mean"] == pytest.approx(0)


def test_runs_without_a_partner_are_left_out() -> None:
    base = np.random.default_rng(5).random((3, 4))
    partial = base.copy()
    partial[2, 1:] = np.nan
    found = one(compare(runs_of({"base": base, "m": partial}, planned=4), "base"), "m")
    assert (found["replicates"], found["runs"]) == (2, 8)
    assert "1 complete runs" in found["note"]


def test_unknown_baseline_is_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match=r"baseline 'er'; there are runs of: m\."):
        compare(runs_of({"m": np.full((2, 2), 0.5)}), "er")


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [2, 5])
def test_interval_covers_the_truth_as_often_as_it_says(replicates: int) -> None:
    """Hierarchical truth: runs of a replicate share its effect, so runs are no unit."""
    rng = np.random.default_rng(replicates)
    draws, orders, truth = 4000, 6, 0.6
    shared = 0.02 * rng.standard_normal((draws, replicates, 1))
    values = truth + shared + 0.05 * rng.standard_normal((draws, replicates, orders))
    found = [t_interval(table.mean(axis=1)) for table in values]
    covered = np.mean([row.low <= truth <= row.high for row in found])
    assert 0.94 <= covered <= 0.96
