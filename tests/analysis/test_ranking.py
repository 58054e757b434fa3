"""Rankings over orders: other libraries' coefficients, hand-made shares."""

from itertools import combinations

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from analysis import rankings, stability
from analysis.orders.ranking import kendalls_w
from tests.analysis.invented_runs import runs_of


def test_kendalls_w_is_pingouins_also_with_ties() -> None:
    table = np.random.default_rng(0).integers(0, 4, (12, 5)).astype(float)
    long = pd.DataFrame(table).stack().rename("y").reset_index()
    expected = pingouin.friedman(long, dv="y", within="level_1", subject="level_0")["W"].iloc[0]
    assert kendalls_w(table) == pytest.approx(expected)


def test_agreement_is_one_when_all_runs_agree() -> None:
    assert kendalls_w(np.tile([0.1, 0.2, 0.3], (5, 1))) == pytest.approx(1)
    assert kendalls_w(np.array([[1.0, 2, 3], [3, 2, 1]])) == pytest.approx(0)


def test_rankings_by_hand() -> None:
    a = np.array([[0.9, 0.9, 0.2], [0.9, 0.9, 0.9]])
    b = np.full((2, 3), 0.5)
    (row,) = rankings(runs_of({"a": a, "b": b})).itertuples()
    assert (row.top, row.top_1, row.runs) == ("a", pytest.approx(5 / 6), 6)
    ranks = stats.rankdata(np.column_stack([a.ravel(), b.ravel()]), axis=1)
    spearman = np.corrcoef(ranks)[np.triu_indices(6, 1)].mean()
    assert row.mean_spearman == pytest.approx(spearman)


def test_lower_is_better_where_it_is() -> None:
    table = np.random.default_rng(3).random((3, 4))
    runs = runs_of({"a": table, "b": table + 0.1})
    assert rankings(runs, "forgetting_max")["top"].tolist() == ["b"]


def test_halves_of_a_study_share_no_run() -> None:
    """All pairs of disjoint halves, by hand."""
    rng = np.random.default_rng(4)
    values = {f"m{i}": 0.05 * i + 0.2 * rng.random((4, 8)) for i in range(4)}
    found = stability(runs_of(values)).set_index("k")
    means = np.array([v.mean(axis=1) for v in values.values()])  # [methods, replicates]
    one = [stats.kendalltau(means[:, i], means[:, j])[0] for i, j in combinations(range(4), 2)]
    two = [
        stats.kendalltau(means[:, half].mean(axis=1), means[:, rest].mean(axis=1))[0]
        for half, rest in (([0, 1], [2, 3]), ([0, 2], [1, 3]), ([0, 3], [1, 2]))
    ]
    assert list(found.index) == [1, 2]
    assert found["tau"].tolist() == pytest.approx([np.mean(one), np.mean(two)])


def test_no_size_of_study_agrees_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(5)
    taus = [
        stability(runs_of({f"m{i}": rng.random((10, 3)) for i in range(5)})).set_index("k")["tau"]
        for _ in range(60)
    ]
    mean = pd.concat(taus, axis=1).mean(axis=1)
    assert mean.to_numpy() == pytest.approx(0, abs=0.12)


def test_one_replicate_has_no_halves() -> None:
    values = {m: np.random.default_rng(6).random((1, 8)) for m in "abc"}
    assert stability(runs_of(values)).empty


def test_runs_that_one_method_lacks_do_not_count() -> None:
    a, b = np.random.default_rng(5).random((2, 3, 4))
    b[2, 1:] = np.nan
    (row,) = rankings(runs_of({"a": a, "b": b}, planned=4)).itertuples()
    assert row.runs == 8
