"""Verdicts of a family: agreement with p and interval, missing replicates, errors by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare
from analysis.inference.significance import fewest_flips, max_t, significance, verdicts
from benchmarks.order_designs import draw
from sweep.orders.drawn import Random
from sweep.orders.williams import Williams
from tests.analysis.invented_runs import runs_of

ROPE = 0.005


def family(rng: np.random.Generator) -> pd.DataFrame:
    """Gains of a few methods over a few replicates, some without difference, some missing."""
    replicates, methods = rng.integers(2, 9), rng.integers(1, 10)
    gains = rng.choice([0, 0.005, 0.01, 0.05], methods) * rng.choice([-1, 1], methods)
    d = gains + rng.choice([0.001, 0.01, 0.05]) * rng.standard_normal((replicates, methods))
    d[rng.random(d.shape) < rng.choice([0, 0.2])] = np.nan
    if methods > 2:
        d[:, 2] = d[:, 1]  # two that are the same
    return pd.DataFrame(d, columns=[f"m{i}" for i in range(methods)])


@pytest.mark.parametrize("seed", range(80))
def test_verdict_p_and_interval_say_the_same(seed: int) -> None:
    d = family(np.random.default_rng(seed))
    found = verdicts(d, ROPE).join(significance(d))
    for name, row in found.iterrows():
        x = d[name].dropna()
        clear = row["verdict"] in ("better", "worse")
        assert clear == (row["p_verdict"] < 0.05)
        assert (row["verdict"] == "better") == (row["verdict_low"] > ROPE)
        assert (row["verdict"] == "worse") == (row["verdict_high"] < -ROPE)
        inside = row["verdict_low"] >= -ROPE and row["verdict_high"] <= ROPE
        assert (row["verdict"] == "equivalent") == inside
        assert not clear or row["p_holm"] < 0.05
        assert np.isnan(row["p_verdict"]) == (len(x) < 2)
        if len(x) >= 2:
            alone = stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))
            assert row["verdict_low"] <= alone[0] + 1e-12
            assert row["verdict_high"] >= alone[1] - 1e-12
    if "m2" in found:
        assert found.loc["m1"].equals(found.loc["m2"].rename("m1"))


def test_levels_step_down() -> None:
    """The clearer of two gains is judged at 97.5 %, the other then at 95 %."""
    d = pd.DataFrame({"clear": [0.10, 0.11, 0.12, 0.11], "next": [0.02, 0.03, 0.02, 0.04]})
    found = verdicts(d, ROPE)
    for name, level in (("clear", 0.975), ("next", 0.95)):
        expected = stats.t.interval(level, 3, d[name].mean(), stats.sem(d[name]))
        assert found.loc[name, ["verdict_low", "verdict_high"]].tolist() == pytest.approx(expected)
    assert list(found["verdict"]) == ["better", "better"]
    worse = verdicts(-d, ROPE)
    assert list(worse["verdict"]) == ["worse", "worse"]
    assert worse["p_verdict"].equals(found["p_verdict"])


def test_where_the_first_is_not_clear_all_are_judged_alike() -> None:
    d = pd.DataFrame({"one": [0.10, -0.11, 0.12, 0.11], "other": [0.02, -0.03, 0.02, 0.04]})
    found = verdicts(d, ROPE)
    for name in d:
        expected = stats.t.interval(0.975, 3, d[name].mean(), stats.sem(d[name]))
        assert found.loc[name, ["verdict_low", "verdict_high"]].tolist() == pytest.approx(expected)


def test_one_comparison_needs_no_correction() -> None:
    d = pd.DataFrame({"m": [0.02, 0.03, 0.02, 0.04]})
    found = verdicts(d, 0.0).iloc[0]
    assert found["p_verdict"] == pytest.approx(stats.ttest_1samp(d["m"], 0).pvalue)
    expected = stats.t.interval(0.95, 3, d["m"].mean(), stats.sem(d["m"]))
    assert (found["verdict_low"], found["verdict_high"]) == pytest.approx(expected)


def test_p_and_interval_come_from_the_same_replicates() -> None:
    """A method that lacks two of five replicates is tested on its three, others on their five."""
    rng = np.random.default_rng(1)
    base = rng.random((5, 4))
    part = base + 0.02 + 0.01 * rng.standard_normal((5, 4))
    part[3:, 0] = np.nan
    full = base + 0.02 + 0.01 * rng.standard_normal((5, 4))
    found = compare(runs_of({"base": base, "part": part, "full": full}, planned=4), "base")
    found = found[found["metric"] == "average_accuracy"].set_index("method")
    for method, values, rows in (("part", part, 3), ("full", full, 5)):
        means = (values - base)[:rows].mean(axis=1)
        assert found.loc[method, "replicates"] == rows
        assert found.loc[method, "p"] == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
        bounds = stats.t.interval(0.95, rows - 1, means.mean(), stats.sem(means))
        assert found.loc[method, ["low", "high"]].tolist() == pytest.approx(bounds)


def test_one_method_with_one_replicate_does_not_erase_anothers_p() -> None:
    rng = np.random.default_rng(2)
    base = rng.random((5, 4))
    full = base + 0.02 + 0.005 * rng.standard_normal((5, 4))
    one = full.copy()
    one[1:, 0] = np.nan
    tables = {"base": base, "full": full}
    alone = compare(runs_of(tables, planned=4), "base").set_index(["method", "metric"])
    both = compare(runs_of(tables | {"one": one}, planned=4), "base")
    both = both.set_index(["method", "metric"])
    kept = ["low", "high", "p", "p_holm", "p_max_t", "verdict", "p_verdict", "verdict_low"]
    key = ("full", "average_accuracy")
    assert both.loc[key, kept].equals(alone.loc[key, kept])
    assert both.loc[("one", "average_accuracy"), ["p", "p_verdict"]].isna().all()
    assert both.loc[("one", "average_accuracy"), "verdict"] == "undecided"


def test_flips_of_a_column_with_gaps_are_those_of_its_own_replicates() -> None:
    x = np.random.default_rng(3).normal(1, 1, (6, 1))
    gaps = np.vstack([x, [[np.nan], [np.nan]]])
    assert max_t(gaps) == pytest.approx(max_t(x))


def test_how_many_replicates_sign_flips_need() -> None:
    assert max_t(np.full((3, 1), 0.1))[0] == 0.25
    needed = fewest_flips()
    assert max_t(np.full((needed, 1), 0.1))[0] < 0.05 < max_t(np.full((needed - 1, 1), 0.1))[0]


def block_means(
    design: Random | Williams, methods: int, replicates: int, gap: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Means over blocks [studies, replicates, methods], and what they are in truth.

    Position and neighbours move every method in its own way, as strongly as methods differ; the
    tasks are six, and the methods `gap` apart.
    """
    tasks, studies = 6, 300
    orders, _ = draw(design, tasks, studies * replicates, rng)
    truth = 0.6 + gap * np.arange(methods)
    position = rng.normal(0, 0.01, (methods, tasks, tasks))
    neighbour = rng.normal(0, 0.02, (methods, tasks, tasks))
    position -= position.mean(axis=(1, 2), keepdims=True)
    off = ~np.eye(tasks, dtype=bool)
    neighbour -= neighbour[:, off].mean(axis=1)[:, None, None]
    y = position[:, orders, np.arange(tasks)].sum(axis=-1)
    y += neighbour[:, orders[:, :-1], orders[:, 1:]].sum(axis=-1)
    y += 0.01 * rng.standard_normal(y.shape)
    means = y.reshape(methods, studies, replicates, -1).mean(axis=-1).transpose(1, 2, 0)
    means += 0.02 * rng.standard_normal((studies, replicates, 1))  # seeds move all methods,
    means += 0.005 * rng.standard_normal(means.shape)  # and each of them
    return means + truth, truth


@pytest.mark.slow
@pytest.mark.parametrize("gap", [0.0, 0.006])
@pytest.mark.parametrize("replicates", [3, 5, 8])
@pytest.mark.parametrize("methods", [5, 10])
@pytest.mark.parametrize("design", [Random(num_orders=6), Williams()], ids=lambda d: d.name)
def test_some_verdict_is_wrong_in_at_most_five_percent_of_studies(
    design: Random | Williams, methods: int, replicates: int, gap: float
) -> None:
    rng = np.random.default_rng([methods, replicates, int(10_000 * gap)])
    means, truth = block_means(design, methods, replicates, gap, rng)
    gains = truth[1:] - truth[0]
    right = np.where(gains > ROPE, "better", "equivalent")
    words = [verdicts(pd.DataFrame(x[:, 1:] - x[:, :1]), ROPE)["verdict"] for x in means]
    found = np.array(words)
    wrong = ((found != "undecided") & (found != right)).any(axis=1).sum()
    assert wrong <= stats.binom.ppf(0.999, len(means), 0.05)


@pytest.mark.slow
def test_without_correction_more_than_five_percent_of_studies_are_wrong() -> None:
    """The simulation above could tell: the same verdicts, each method judged alone."""
    rng = np.random.default_rng(4)
    means, _ = block_means(Random(num_orders=6), 10, 3, 0.0, rng)
    gains = means[:, :, 1:] - means[:, :, :1]
    half = stats.t.ppf(0.975, 2) * stats.sem(gains, axis=1)
    clear = np.abs(gains.mean(axis=1)) - half > ROPE
    assert clear.any(axis=1).sum() > stats.binom.ppf(0.999, len(means), 0.05)
