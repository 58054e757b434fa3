"""Variance components: known truth, hand-made mean squares, other libraries."""

from pathlib import Path

import numpy as np
import pandas as pd
import pingouin
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from analysis import d_study, load, metrics, task_factors, variance_components
from analysis.orders.variance import components, reliability
from tests.analysis.invented_runs import runs_of
from tests.analysis.synthetic import World, random_orders, write_study


def test_nested_components_by_hand() -> None:
    """The textbook formulas for methods crossed with orders inside seeds."""
    rng = np.random.default_rng(0)
    q, s, n = 3, 4, 5
    y = rng.random((q, s, n))
    long = pd.DataFrame(
        [(m, r, y[m, r, o]) for m in range(q) for r in range(s) for o in range(n)],
        columns=["m", "s", "y"],
    )
    table = anova_lm(smf.ols("y ~ C(m) * C(s)", long).fit())
    ms = table["sum_sq"] / table["df"]
    ss_o = q * ((y.mean(axis=0) - y.mean(axis=(0, 2))[:, None]) ** 2).sum()
    ms_o = ss_o / (s * (n - 1))
    ms_e = (table.loc["Residual", "sum_sq"] - ss_o) / ((q - 1) * s * (n - 1))
    found = components(y, crossed=False)
    assert found["method", "seed", "order"] == pytest.approx(ms_e)
    assert found["seed", "order"] == pytest.approx((ms_o - ms_e) / q)
    assert found["method", "seed"] == pytest.approx((ms["C(m):C(s)"] - ms_e) / n)
    assert found["method",] == pytest.approx((ms["C(m)"] - ms["C(m):C(s)"]) / (s * n))
    expected = (ms["C(s)"] - ms["C(m):C(s)"] - ms_o + ms_e) / (q * n)
    assert found["seed",] == pytest.approx(expected)


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
        found.append(components(y + sd["rest"] * rng.standard_normal((q, s, n)), crossed))
    mean = pd.DataFrame(found).mean()
    order = ("order",) if crossed else ("seed", "order")
    rest = 0.01 if crossed else 0.01 + 0.09
    sums = {("method",): 0.25, ("seed",): 0.04, order: 0.64, ("method", "seed", "order"): rest}
    for effect, variance in sums.items():
        assert mean[effect] == pytest.approx(variance, rel=0.15, abs=0.006), effect


def test_crossing_is_recognised_by_the_orders() -> None:
    rng = np.random.default_rng(2)
    values = {m: rng.random((3, 4)) for m in "ab"}
    crossed = variance_components(runs_of(values))
    nested = variance_components(runs_of(values, crossed=False))
    assert "order" in set(crossed["effect"])
    assert set(nested["effect"]) == {
        "method", "seed", "method:seed", "seed:order", "method:seed:order"
    }  # fmt: skip
    assert nested["share"].sum() == pytest.approx(1)


def test_one_replicate_cannot_tell_seeds_apart() -> None:
    values = {m: np.random.default_rng(3).random((1, 6)) for m in "ab"}
    found = variance_components(runs_of(values))
    assert set(found["effect"]) == {"method", "order", "method:order"}


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pingouin, with a newer pandas
def test_reliability_of_one_order_and_seed_is_the_intraclass_correlation() -> None:
    values = {f"m{i}": table for i, table in enumerate(np.random.default_rng(5).random((4, 1, 8)))}
    for i, name in enumerate(values):
        values[name] = values[name] + i
    found = variance_components(runs_of(values))
    table = pd.DataFrame(np.vstack(list(values.values())))
    long = table.stack().rename("y").reset_index()
    known = pingouin.intraclass_corr(long, "level_0", "level_1", "y")["ICC"]
    _, absolute, relative = known.iloc[:3]  # ICC(1,1), ICC(2,1), ICC(3,1)
    assert reliability(found, 1, 1) == pytest.approx((relative, absolute))


def test_more_runs_are_more_reliable_and_fresh_seeds_never_worse_than_more_orders() -> None:
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
