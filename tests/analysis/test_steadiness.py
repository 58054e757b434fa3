"""Ratios of spreads over orders: closed forms, brute force, and truth known by simulation."""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from analysis import steadiness
from analysis.orders.blocks import Blocks
from analysis.orders.steadiness import FEW, log_ratios
from sweep.orders.williams import Williams
from tests.analysis.invented_runs import runs_of


def drawn(seed: int, replicates: int = 5, orders: int = 12, ratio: float = 0.5) -> dict:
    """Two methods on the same orders, the second with `ratio` times the spread of the first."""
    rng = np.random.default_rng(seed)
    sensitive = np.exp(0.3 * rng.standard_normal((replicates, 1)))  # a seed's, for all methods
    noise = rng.standard_normal((2, replicates, orders)) * sensitive
    return {"a": 0.5 + 0.02 * noise[0], "b": 0.6 + 0.02 * ratio * noise[1]}


def test_ratio_interval_and_p_are_those_of_logarithms_over_replicates() -> None:
    tables = drawn(0)
    (row,) = steadiness(runs_of(tables), "a").itertuples()
    logs = np.log(tables["b"].std(axis=1, ddof=1) / tables["a"].std(axis=1, ddof=1))
    tested = stats.ttest_1samp(logs, 0)
    interval = tested.confidence_interval(0.95)
    assert (row.method, row.baseline, row.replicates, row.orders) == ("b", "a", 5, 12)
    assert row.ratio == pytest.approx(np.exp(logs.mean()))
    assert (row.ratio_low, row.ratio_high) == pytest.approx(
        (np.exp(interval.low), np.exp(interval.high))
    )
    assert row.p == pytest.approx(tested.pvalue) == row.p_holm


def test_the_other_way_round_it_is_the_inverse() -> None:
    runs = runs_of(drawn(1))
    (there,), (back,) = steadiness(runs, "a").itertuples(), steadiness(runs, "b").itertuples()
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert (there.ratio_low, there.few_low) == pytest.approx(
        (1 / back.ratio_high, 1 / back.few_high), rel=0.01
    )
    assert (there.p, there.reversed) == pytest.approx((back.p, back.reversed))


def test_what_few_orders_show_is_what_all_choices_of_them_show() -> None:
    tables = drawn(2, ratio=0.7)
    (row,) = steadiness(runs_of(tables), "a").itertuples()
    chosen = np.array(list(combinations(range(12), FEW)))
    few = np.concatenate(
        [
            tables["b"][r][chosen].std(axis=1, ddof=1) / tables["a"][r][chosen].std(axis=1, ddof=1)
            for r in range(5)
        ]
    )
    assert row.reversed == pytest.approx((few > 1).mean(), abs=0.01)
    assert (row.few_low, row.few_high) == pytest.approx(np.quantile(few, [0.025, 0.975]), rel=0.05)
    assert 0.1 < row.reversed < 0.5


def test_methods_that_no_order_moves_have_no_ratio() -> None:
    tables = drawn(3)
    tables["still"] = np.full((5, 12), 0.7)
    assert list(steadiness(runs_of(tables), "a")["method"]) == ["b"]
    assert steadiness(runs_of(tables), "still").empty
    with pytest.raises(ValueError, match=r"Unknown baseline 'stil'.* Did you mean 'still'"):
        steadiness(runs_of(tables), "stil")


def test_holm_counts_the_methods_of_a_backbone() -> None:
    tables = drawn(4) | {"c": drawn(5)["a"], "d": drawn(6)["a"]}
    found = steadiness(runs_of(tables), "a").set_index("method")
    smallest = found["p"].idxmin()
    assert found.loc[smallest, "p_holm"] == pytest.approx(min(1, 3 * found.loc[smallest, "p"]))


def test_without_complete_replicates_there_is_a_ratio_and_no_interval() -> None:
    for runs in (runs_of(drawn(7), planned=20), runs_of(drawn(8, replicates=1))):
        (row,) = steadiness(runs, "a").itertuples()
        assert row.ratio > 0
        assert np.isnan([row.ratio_low, row.ratio_high, row.p, row.p_holm]).all()


def test_a_broken_replicate_of_either_is_left_out() -> None:
    tables = drawn(9)
    whole = {name: table[1:] for name, table in tables.items()}
    tables["a"][0, 0] = np.nan
    (row,) = steadiness(runs_of(tables, planned=12), "a").itertuples()
    (expected,) = steadiness(runs_of(whole), "a").itertuples()
    assert (row.ratio, row.ratio_low, row.p) == pytest.approx(
        (expected.ratio, expected.ratio_low, expected.p)
    )


def test_a_ratio_about_which_nothing_is_known_has_no_bounds() -> None:
    (row,) = steadiness(runs_of(drawn(10, replicates=2)), "a").itertuples()
    assert row.ratio > 0
    assert row.p == row.p
    assert np.isnan([row.ratio_low, row.ratio_high]).all()
    tables = drawn(11, replicates=3)
    tables["b"] = 0.5 + (tables["b"] - 0.5) * np.array([[1], [0.01], [1]])
    (row,) = steadiness(runs_of(tables), "a").itertuples()
    assert np.isnan([row.ratio_low, row.ratio_high]).all()


def test_balanced_orders_do_not_make_a_method_less_steady() -> None:
    """An effect of places alone, which a square balances, beside one without any rule."""
    rng = np.random.default_rng(12)
    logs = []
    for _ in range(60):
        blocks = [Williams().orders("abcdef", rng) for _ in range(5)]
        places, free = rng.standard_normal((6, 6)), rng.standard_normal((5, 6))
        ruled = [
            [sum(places[k, "abcdef".index(t)] for k, t in enumerate(order)) for order in block]
            for block in blocks
        ]
        sds = np.std(_all_sums(places)), 1.0
        orders = [order for block in blocks for order in block]
        both = np.column_stack([np.ravel(ruled) / sds[0], free.ravel()])
        logs.append(log_ratios(Blocks(np.repeat(np.arange(5), 6), orders), both)[0].mean())
    assert np.mean(logs) == pytest.approx(0, abs=0.06)


def _all_sums(places: np.ndarray) -> np.ndarray:
    every = np.array(list(permutations(range(6))))
    return places[np.arange(6), every].sum(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [3, 5, 8])
@pytest.mark.parametrize("law", ["normal", "skewed"])
def test_ratios_are_covered_as_often_as_they_say(law: str, replicates: int) -> None:
    rng = np.random.default_rng(replicates)
    draws, orders = 400, 12
    shape = (draws, 2, replicates, orders)
    noise = rng.standard_normal(shape) if law == "normal" else rng.gamma(4, 0.5, shape)
    held = []
    for both in noise:
        runs = runs_of({"a": both[0], "b": 0.5 * both[1]})
        (row,) = steadiness(runs, "a").itertuples()
        held.append(row.ratio_low <= 0.5 <= row.ratio_high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_intervals_beside_p_agree_with_it() -> None:
    """After Holm's correction, too: 1 is outside exactly where p is below 5 %."""
    rng, clear = np.random.default_rng(8), 0
    for _ in range(20):
        noise = rng.choice([0.05, 0.3], 4)
        tables = {
            name: 0.5 + np.exp(spread * rng.standard_normal((5, 1))) * rng.normal(0, 0.01, (5, 6))
            for name, spread in zip("abcd", noise, strict=True)
        }
        tables["d"] = 0.5 + 4 * (tables["d"] - 0.5)
        for row in steadiness(runs_of(tables), "a").dropna(subset="holm_low").itertuples():
            outside = row.holm_low > 1 or row.holm_high < 1
            assert outside == (row.p_holm < 0.05)
            assert row.holm_low <= row.ratio_low + 1e-9
            assert row.ratio_high <= row.holm_high + 1e-9
            clear += outside
    assert clear
