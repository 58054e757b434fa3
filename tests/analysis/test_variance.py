"""Variance components: known truth, hand-made mean squares, other libraries."""

from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from analysis import d_study, load, metrics, task_factors, variance_components
from analysis.orders.blocks import Blocks
from analysis.orders.variance import CENTRE, components, method_variance, reliability
from benchmarks.order_statistics import CASES, drawn_blocks, world
from tests.analysis.invented_runs import runs_of
from tests.analysis.synthetic import World, random_orders, write_study


def table_of(y: np.ndarray, crossed: bool = False) -> tuple[np.ndarray, Blocks]:
    """Returns values [runs, methods] and blocks of y [methods, replicates, orders]."""
    _, R, n = y.shape
    orders = [(f"t{o}" if crossed else f"t{r}.{o}", "x") for r in range(R) for o in range(n)]
    return y.reshape(len(y), -1).T, Blocks(np.repeat(np.arange(R), n), orders)


def test_components_of_random_orders_by_hand() -> None:
    """The textbook formulas for methods crossed with orders inside seeds."""
    rng = np.random.default_rng(0)
    q, s, n = 3, 4, 5
    y = rng.random((q, s, n)) + 0.5 * rng.random((q, s, 1))
    long = pd.DataFrame(
        [(m, r, y[m, r, o]) for m in range(q) for r in range(s) for o in range(n)],
        columns=["m", "s", "y"],
    )
    table = anova_lm(smf.ols("y ~ C(m) * C(s)", long).fit())
    ms = table["sum_sq"] / table["df"]
    ss_o = q * ((y.mean(axis=0) - y.mean(axis=(0, 2))[:, None]) ** 2).sum()
    ms_o = ss_o / (s * (n - 1))
    ms_e = (table.loc["Residual", "sum_sq"] - ss_o) / ((q - 1) * s * (n - 1))
    found = {effect: row["variance"] for effect, row in components(*table_of(y)).items()}
    assert ms["C(m):C(s)"] > ms_e  # otherwise the seed has no part in the error
    assert found["method:order"] == pytest.approx(ms_e)
    assert found["order"] == pytest.approx((ms_o - ms_e) / q)
    assert found["method:seed"] == pytest.approx((ms["C(m):C(s)"] - ms_e) / n)
    expected = (ms["C(s)"] - ms["C(m):C(s)"] - ms_o + ms_e) / (q * n)
    assert found["seed"] == pytest.approx(expected)


def test_the_error_is_the_interaction_of_methods_and_replicates() -> None:
    rng = np.random.default_rng(1)
    y = rng.random((4, 5, 6)) + 0.3 * rng.random((4, 5, 1))
    means = pd.DataFrame(
        [(m, r, y[m, r].mean()) for m in range(4) for r in range(5)], columns=["m", "s", "y"]
    )
    table = anova_lm(smf.ols("y ~ C(m) + C(s)", means).fit())
    error = table.loc["Residual", "sum_sq"] / table.loc["Residual", "df"]
    for crossed in (False, True):
        found = components(*table_of(y, crossed))
        parts = [found[name]["in_replicate"] for name in ("method:seed", "method:order")]
        assert sum(parts) == pytest.approx(error)


@pytest.mark.parametrize("crossed", [True, False])
def test_components_are_unbiased(crossed: bool) -> None:
    rng = np.random.default_rng(1)
    sd = {"method": 0.5, "seed": 0.2, "order": 0.8, "method:order": 0.3, "rest": 0.1}
    q, s, n = 8, 6, 10
    found = []
    for _ in range(200):
        rows = 1 if crossed else s
        y = sd["method"] * rng.standard_normal((q, 1, 1))
        y = y + sd["seed"] * rng.standard_normal((1, s, 1))
        y = y + sd["order"] * rng.standard_normal((1, rows, n))
        y = y + sd["method:order"] * rng.standard_normal((q, rows, n))
        y = y + sd["rest"] * rng.standard_normal((q, s, n))
        parts = components(*table_of(y, crossed))
        found.append({effect: row["variance"] for effect, row in parts.items()})
    mean = pd.DataFrame(found).mean()
    sums = {"method": 0.25, "seed": 0.04, "order": 0.64, "method:order": 0.09 + 0.01}
    for effect, variance in sums.items():
        assert mean[effect] == pytest.approx(variance, rel=0.15, abs=0.006), effect
    assert mean["method:seed"] == pytest.approx(0, abs=0.003)


def test_one_replicate_says_nothing_about_the_reliability() -> None:
    values = {m: np.random.default_rng(3).random((1, 6)) for m in "ab"}
    found = variance_components(runs_of(values))
    assert found.empty
    assert d_study(found).empty


def test_the_variance_of_methods_has_the_quantiles_of_its_law() -> None:
    value, low, high = method_variance(5.0, 0.8, methods=4, replicates=5)
    F, top, bottom = 5.0 / 0.8, 3, 12
    for tail, found in ((CENTRE, value), (0.975, low), (0.025, high)):
        assert stats.ncf.cdf(F, top, bottom, top * found / 0.8) == pytest.approx(tail)
    assert method_variance(0.5, 0.8, 4, 5)[:2] == (0, 0)
    assert method_variance(0.5, 0.0, 4, 5) == (0.5, 0.5, 0.5)


def test_more_of_everything_is_more_reliable_until_all_orders_are_there() -> None:
    rng = np.random.default_rng(6)
    values = {
        f"m{i}": 0.1 * i + 0.1 * rng.random((4, 1)) + 0.2 * rng.random((4, 6)) for i in range(4)
    }
    found = d_study(variance_components(runs_of(values, crossed=False)), [1, 2, 4], [1, 2, 4])
    g = found.set_index(["seeds", "orders"])["g"]
    assert g[1, 1] < g[1, 2] < g[1, 4]
    assert g[1, 1] < g[2, 1] < g[4, 1]
    assert g[4, 1] >= g[2, 2] >= g[1, 4]
    assert (found["phi"] <= found["g"]).all()
    assert found["g"].between(found["g_low"], found["g_high"]).all()
    part = variance_components(runs_of(values, crossed=False))
    assert part["possible"].iloc[0] == inf
    finite, by_effect = part.assign(possible=24.0), part.set_index("effect")
    inside, own = by_effect.loc[["method:order", "method:seed"], "in_replicate"]
    method = by_effect.loc["method", "variance"]
    assert reliability(finite, 4, 24)["g"] == pytest.approx(method / (method + own / 4))
    half = inside * (1 / 12 - 1 / 24) / (1 / 6 - 1 / 24)
    expected = method / (method + (own + half) / 4)
    assert reliability(finite, 4, 12)["g"] == pytest.approx(expected)


def test_sizes_are_whole_blocks_and_no_more_orders_than_there_are() -> None:
    rng = np.random.default_rng(7)
    values = {m: rng.random((3, 4)) for m in "ab"}
    nested = variance_components(runs_of(values, crossed=False))
    assert set(d_study(nested.assign(unit=4, possible=24.0))["orders"]) == {4, 8, 12, 16}
    assert set(d_study(nested.assign(unit=4, possible=12.0))["orders"]) == {4, 8, 12}
    crossed = variance_components(runs_of(values))
    assert set(d_study(crossed)["orders"]) == {1, 2, 3, 4}


@pytest.mark.parametrize("name", CASES)
def test_g_is_neither_too_high_nor_too_low_for_any_design(name: str) -> None:
    """Methods 0.6 points apart, with orders that move every method otherwise."""
    rng = np.random.default_rng(8)
    tasks, design = CASES[name]
    off, held = [], []
    for _ in range(6):
        here = world(rng, tasks=tasks, own=0.02)
        pool = drawn_blocks(design, here.names, 60, rng)
        truth = here.reliability(pool, 5)
        for _ in range(10):
            drawn = pool[rng.integers(0, len(pool), 5)]
            y = here.study(drawn, rng)
            blocks = Blocks(
                np.repeat(np.arange(5), drawn.shape[1]), [here.names[i] for i in drawn.ravel()]
            )
            found = components(y.reshape(5, -1).T, blocks)
            error = sum(found[f"method:{source}"]["in_replicate"] for source in ("seed", "order"))
            g, low, high = (
                found["method"][key] / (found["method"][key] + error / 5)
                for key in ("variance", "low", "high")
            )
            off.append(g - truth)
            held.append(low <= truth <= high)
    assert abs(np.mean(off)) < 0.06
    assert abs(np.median(off)) < 0.06
    assert np.mean(held) > 0.85


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
def test_task_factors_are_statsmodels_type_two(tmp_path: Path) -> None:
    tasks = ("a", "b", "c", "d")
    write_study(tmp_path, random_orders(tasks, 12, 2), World(tasks=tasks))
    results = load(tmp_path)
    found = task_factors(results, metrics(results)).set_index(["method", "factor"])
    runs = metrics(results)
    long = pd.DataFrame(
        [
            (task, i, order[i - 1] if i else "", replicate, R.iloc[-1, i])
            for replicate, order in runs.loc[runs["method"] == "ewc", ["replicate", "order"]].values
            for R in [results.matrix("tiny-clip", "ewc", replicate, order)]
            for i, task in enumerate(order)
        ],
        columns=["task", "position", "predecessor", "replicate", "y"],
    )
    model = smf.ols("y ~ C(task) + C(replicate) + C(position) + C(predecessor)", long)
    without = smf.ols("y ~ C(replicate) + C(position) + C(predecessor)", long)
    expected = without.fit().ssr - model.fit().ssr
    assert found.loc[("ewc", "task"), "ss"] == pytest.approx(expected)
    assert found.loc[("ewc", "task"), "df"] == 3
    assert 0 < found.loc[("ewc", "task"), "omega2"] < 1
    assert found.loc[("zero_shot", "position"), "omega2"] == pytest.approx(0, abs=1e-9)


def test_one_order_in_a_replicate_is_not_told_from_its_seed() -> None:
    values = {f"m{i}": 0.2 * i + np.random.default_rng(i).random((5, 1)) for i in range(4)}
    found = variance_components(runs_of(values, crossed=False))
    by_effect = found.set_index("effect")["variance"]
    assert by_effect[["order", "method:order"]].isna().all()
    assert by_effect["method:seed"] > 0
    assert found["share"].sum() == pytest.approx(1)
    assert set(d_study(found)["orders"]) == {1}
