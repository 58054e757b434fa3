"""Whether a ranking survives another order: pairs by hand, the rule, and what settles the rest."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis import method_pairs, settling, survival_verdicts
from analysis.inference.intervals import clustered_share
from analysis.inference.significance import verdicts
from analysis.orders.survival import Survival
from benchmarks.order_statistics import CASES, REPLICATES
from benchmarks.ranking_survival import KINDS, Survived, measure
from tests.analysis.invented_runs import runs_of

RNG = np.random.default_rng(1)
BASE = RNG.random((4, 10))
NOISE = 0.002 * RNG.standard_normal((4, 10))
TURNED = np.where(np.arange(10) < 6, 0.03, -0.03)
"""A difference that four of ten orders turn round, in every seed."""


def verdict_of(values: dict[str, np.ndarray], **more: int) -> Survival:
    (found,) = survival_verdicts(method_pairs(runs_of(values, **more)))
    return found


def test_a_pair_names_the_better_method_first() -> None:
    noise = 20 * NOISE
    (row,) = method_pairs(runs_of({"low": BASE, "high": BASE + 0.03 + noise})).itertuples()
    difference = 0.03 + noise
    assert (row.method, row.other) == ("high", "low")
    assert row.mean == pytest.approx(difference.mean())
    assert row.sd == pytest.approx(difference.mean(axis=1).std(ddof=1))
    assert (row.wins, row.losses) == ((difference > 0).sum(), (difference < 0).sum())
    assert row.ahead == pytest.approx((difference > 0).mean())
    assert row.reversals == (difference < -0.005).sum()
    assert row.p_holds == pytest.approx(stats.binomtest(row.reversals, 40, 0.1, "less").pvalue)
    both = np.minimum((difference > 0.005).sum(axis=1), (difference < -0.005).sum(axis=1)).sum()
    assert row.p_changes == pytest.approx(stats.binomtest(both, 40, 0.1, "greater").pvalue)


def test_all_pairs_are_one_family_and_what_is_left_out_is_not() -> None:
    values = {m: RNG.random((6, 1)) + 0.2 * i for i, m in enumerate("abcd")}
    found = method_pairs(runs_of(values), without={"d"}).set_index(["method", "other"])
    gains = pd.DataFrame({(m, o): (values[m] - values[o])[:, 0] for m, o in found.index})
    expected = verdicts(gains, 0.005)
    assert len(found) == 3
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_names=False)


def test_where_less_is_better() -> None:
    (row,) = method_pairs(runs_of({"a": BASE, "b": BASE + 0.1}), "forgetting_max").itertuples()
    assert (row.method, row.verdict, row.wins) == ("b", "better", 40)
    assert row.mean == pytest.approx(0.1)


def test_a_pair_is_compared_on_the_runs_that_it_shares() -> None:
    """A third method that lacks two replicates takes nothing from the others."""
    part = BASE - 0.1
    part[2:] = np.nan
    found = method_pairs(runs_of({"a": BASE + 0.1 + NOISE, "b": BASE, "c": part}, planned=10))
    runs = found.set_index(["method", "other"])["runs"]
    assert runs.to_dict() == {("a", "b"): 40, ("a", "c"): 20, ("b", "c"): 20}


def test_without_a_complete_replicate_nothing_is_tested() -> None:
    part = BASE - 0.1
    part[:, 9] = np.nan
    (row,) = method_pairs(runs_of({"a": BASE, "b": part}, planned=10)).itertuples()
    assert (row.wins, row.survives, row.verdict) == (36, "open", "undecided")
    assert np.isnan([row.verdict_low, row.ahead_low, row.p_holds, row.p_changes]).all()
    assert verdict_of({"a": BASE, "b": part}, planned=10).verdict == "cannot say"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"b": BASE - 0.05 + NOISE, "c": BASE - 0.1 - NOISE}, "yes"),
        ({"b": BASE - 0.05 + NOISE, "c": BASE - TURNED + NOISE}, "no"),
        ({"b": BASE - 0.05 + NOISE, "c": BASE - 0.05 - np.where(TURNED < 0, -0.07, 0.2)}, "no"),
        ({"b": BASE + NOISE, "c": BASE - NOISE}, "alike"),
        ({"b": BASE - 0.05 + NOISE, "c": BASE - 0.05 + 2 * NOISE}, "yes"),
        (
            {"b": BASE - 0.05, "c": BASE - 0.05 + np.array([[0.02], [-0.02], [0.03], [0]])},
            "in part",
        ),
        ({"b": BASE + np.array([[0.1], [-0.1], [0.1], [-0.2]])}, "cannot say"),
        ({}, "cannot say"),
    ],
    ids=["clear", "turned", "turned though clear", "alike", "two alike", "by seed", "seeds", "one"],
)
def test_the_rule(others: dict[str, np.ndarray], expected: str) -> None:
    values = {"a": BASE} | others
    (found,) = survival_verdicts(method_pairs(runs_of(values)), ["b"])
    assert found.verdict == expected


def test_a_seed_that_turns_a_pair_round_is_no_order_that_does() -> None:
    seeds = np.array([[0.1], [-0.1], [0.1], [-0.09]])
    (row,) = method_pairs(runs_of({"a": BASE, "b": BASE + seeds})).itertuples()
    assert row.losses == 20
    assert row.survives == "open"
    assert row.p_changes == 1


def test_what_is_below_half_a_point_turns_nothing_round() -> None:
    (row,) = method_pairs(runs_of({"a": BASE, "b": BASE + TURNED / 10})).itertuples()
    assert (row.losses, row.reversals, row.survives) == (16, 0, "yes")


def test_yes_takes_29_runs_and_no_reversal() -> None:
    for orders, expected in ((28, "on average"), (29, "yes")):
        base = np.random.default_rng(2).random((29, 1))
        d = 0.1 + 0.001 * np.arange(29)[:, None]
        values = {"a": base[:orders], "b": (base - d)[:orders]}
        found = verdict_of(values)
        assert found.verdict == expected
        assert found.runs_needed == (0 if expected == "yes" else 29)


def test_one_replicate_decides_nothing() -> None:
    found = verdict_of({"a": BASE[:1], "b": BASE[:1] + np.tile(TURNED, 1)})
    assert (found.verdict, found.changing, found.replicates) == ("cannot say", (), 1)


def test_the_verdict_names_the_pairs() -> None:
    found = verdict_of({"a": BASE, "b": BASE - 0.05 + NOISE, "c": BASE - TURNED})
    assert ("a", "c") in found.changing
    assert (found.methods, found.pairs, found.runs) == (3, 3, 40)


def test_a_share_of_clusters() -> None:
    """Of many that differ no more than by chance: Clopper and Pearson."""
    hits = np.full(4000, 3)
    found = clustered_share(hits, np.full(4000, 4))
    exact = stats.binomtest(int(hits.sum()), 16_000).proportion_ci(0.95)
    assert found.mean == 0.75
    assert found.low == pytest.approx(exact.low, abs=2e-4)
    assert found.high == pytest.approx(exact.high, abs=2e-4)
    alone = clustered_share([4, 0, 4, 4], [4, 4, 4, 4])  # as good as four values
    few = (stats.t.ppf(0.975, 15) / stats.t.ppf(0.975, 3)) ** 2 * 3
    assert alone.low == pytest.approx(stats.beta.ppf(0.025, 0.75 * few, 0.25 * few + 1))


@pytest.mark.parametrize("seed", range(3))
def test_what_settles_a_pair_does_so_if_things_are_as_estimated(seed: int) -> None:
    """The same mean and spread over so many replicates decide; over one less they do not."""
    rng = np.random.default_rng(seed)
    base = rng.random((4, 1))
    values = {"a": base, "b": base + 0.012 + 0.01 * stats.zscore(rng.random((4, 1)), ddof=1)}
    values["c"] = base - 0.1 + 0.2 * rng.random((4, 1))
    pairs = method_pairs(runs_of(values))
    found = settling(pairs, hours=2.0)
    open_ones = pairs[pairs["verdict"] == "undecided"]
    assert len(found) == len(open_ones) > 0
    error = 0.05 / (3 - (pairs["verdict"] == "better").sum())
    for row in found.itertuples():
        (pair,) = open_ones[
            open_ones[["method", "other"]].eq([row.method, row.other]).all(axis=1)
        ].itertuples()
        assert row.hours == 2 * row.more == 2 * (row.replicates - 4)
        for n, decides in ((row.replicates, True), (row.replicates - 1, False)):
            half = stats.t.isf(error / 2, n - 1) * pair.sd / np.sqrt(n)
            assert (pair.mean - half > 0.005 or pair.mean + half < 0.005) == decides


def simulated(kind: str, name: str, replicates: int, studies: int, worlds: int) -> Survived:
    tasks, design = CASES[name]
    rng = np.random.default_rng([tasks, replicates])
    return measure(design, replicates, studies, rng, worlds, tasks=tasks, **KINDS[kind])


def test_what_a_few_simulated_studies_say_is_true() -> None:
    """Two methods at the border, where a rule without tests would be wrong in every third study."""
    found = simulated("two methods, at the border", "Williams, even", 5, 60, worlds=6)
    most = stats.binom.ppf(0.999, 60, 0.05) / 60
    assert max(found.false_yes, found.false_no, found.false_pair) <= most
    assert found.yes + found.no > 0.05
    assert found.share_held >= 0.9


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("replicates", REPLICATES)
@pytest.mark.parametrize("name", ["Williams, even", "Williams, odd", "random", "antithetic"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_simulated_studies_say_is_true(kind: str, name: str, replicates: int) -> None:
    found = simulated(kind, name, replicates, 400, worlds=20)
    most = stats.binom.ppf(0.999, 400, 0.05) / 400
    assert max(found.false_yes, found.false_no, found.false_pair) <= most
    assert found.share_held >= 0.94


def test_what_changes_with_the_order_is_corrected_for_all_pairs() -> None:
    turned = {f"m{i}": BASE - (i % 2) * TURNED - 0.001 * i for i in range(4)}
    found = method_pairs(runs_of(turned))
    numbers = found[["method", "other"]].map(lambda name: int(name[1]))
    both_ways = np.where(numbers.sum(axis=1) % 2, 16, 0)
    alone = stats.binom.sf(both_ways - 1, 40, 0.1)
    assert found["p_changes"].to_numpy() == pytest.approx(multipletests(alone, method="holm")[1])
