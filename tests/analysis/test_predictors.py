"""Predictors of orders: worlds in which they are right, wrong, or know nothing."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from analysis import dose_response, load, metrics, order_scores, regret
from analysis.orders.predictors import _relabellings
from tests.analysis.synthetic import (
    METHODS,
    TASKS,
    World,
    random_orders,
    write_similarity,
    write_study,
)

FIVE = "abcde"
EVERY = list(permutations(FIVE))


def path_cost(S: np.ndarray, order: tuple[str, ...]) -> float:
    return sum(S[FIVE.index(a), FIVE.index(b)] for a, b in pairwise(order))


def symmetric(seed: int, size: int = 5) -> np.ndarray:
    x = np.random.default_rng(seed).random((size, size))
    return x + x.T


def runs_of(
    outcome: Callable[..., float],
    orders: Sequence[tuple[str, ...]] = EVERY,
    replicates: int = 3,
    noise: float = 0.0,
    metric: str = "average_accuracy",
    seed: int = 0,
) -> pd.DataFrame:
    """Runs whose metric is a function of their order, plus the replicate's own level."""
    rng = np.random.default_rng(seed)
    rows = [
        {"backbone": "clip", "method": "m", "replicate": r, "order": order, "planned": len(orders)}
        | {metric: outcome(order) + 0.1 * r + noise * rng.standard_normal()}
        for r in range(replicates)
        for order in orders
    ]
    return pd.DataFrame(rows)


def scores_of(
    orders: Sequence[tuple[str, ...]] = EVERY, **predictors: Callable[..., float]
) -> pd.DataFrame:
    """Scores by measure: of `path_cost`, or of "score:measure"."""
    rows = [
        {"backbone": "clip", "measure": name.split("__")[-1], "order": order}
        | {"score": name.split("__")[0] if "__" in name else "path_cost", "value": predict(order)}
        for name, predict in predictors.items()
        for order in orders
    ]
    return pd.DataFrame(rows)


class TestRegret:
    def test_a_predictor_that_knows_all_proposes_the_best(self) -> None:
        S = symmetric(0)
        runs = runs_of(lambda order: -path_cost(S, order))
        found = regret(runs, scores_of(s=lambda order: path_cost(S, order)))
        easy, hard = (found[found["proposal"] == p].iloc[0] for p in ("easiest", "hardest"))
        least = min(path_cost(S, order) for order in EVERY)
        assert path_cost(S, easy["order"]) == pytest.approx(least)
        assert easy["orders"] == 2  # nothing tells an order from its reverse
        assert easy["regret"] == pytest.approx(0)
        assert easy["better"] == 0
        assert easy["value"] == pytest.approx(easy["best"])
        assert hard["value"] == pytest.approx(easy["worst"])
        assert easy["p"] == pytest.approx(2 / 120)
        assert easy["p_all"] == pytest.approx(4 / 120)  # two proposals were looked at
        assert hard["p"] == 1
        assert easy["r"] == pytest.approx(-1)
        assert easy["p_r"] == pytest.approx(1 / 120)
        assert easy["gain"] == pytest.approx(easy["best"] - easy["mean"])
        assert easy["low"] == pytest.approx(easy["high"])  # replicates differ in level alone
        assert (easy["replicates"], easy["runs"]) == (3, 360)

    def test_metrics_to_be_low_are_turned_round(self) -> None:
        S = symmetric(1)
        runs = runs_of(lambda order: path_cost(S, order), metric="forgetting_max")
        found = regret(runs, scores_of(s=lambda order: path_cost(S, order)), "forgetting_max")
        easy = found[found["proposal"] == "easiest"].iloc[0]
        assert easy["best"] < easy["mean"] < easy["worst"]
        assert easy["regret"] == pytest.approx(0)
        assert easy["gain"] > 0
        assert easy["p"] == pytest.approx(2 / 120)

    def test_a_claim_the_wrong_way_round_is_seen(self) -> None:
        """Where the score is right but the claim is wrong, the hardest order is the best one."""
        S = symmetric(2)
        runs = runs_of(lambda order: path_cost(S, order))
        found = regret(runs, scores_of(s=lambda order: path_cost(S, order)))
        hard = found[found["proposal"] == "hardest"].iloc[0]
        assert (hard["better"], hard["p"]) == (0, pytest.approx(2 / 120))

    def test_scores_that_rise_with_ease(self) -> None:
        runs = runs_of(lambda order: -float(order.index("a")))
        found = regret(runs, scores_of(typicality_gradient__s=lambda order: -order.index("a")))
        easy = found[found["proposal"] == "easiest"].iloc[0]
        assert easy["order"][0] == "a"
        assert easy["orders"] == 24
        assert easy["p"] == pytest.approx(24 / 120)  # one of five tasks had to come first

    def test_proposals_of_ignorance_are_as_good_as_random_ones(self) -> None:
        """P values are uniform, and one look at twenty predictors is corrected for."""
        y = dict(zip(EVERY, np.random.default_rng(3).random(120), strict=True))
        predictors = {f"s{k}": partial(path_cost, symmetric(10 + k)) for k in range(20)}
        found = regret(runs_of(y.__getitem__, replicates=2), scores_of(**predictors))
        easy = found[found["proposal"] == "easiest"]
        assert 0.3 < easy["p"].mean() < 0.7
        assert found["p"].min() < 0.1
        assert found["p_all"].min() > 2 * found["p"].min()
        assert (found["p_all"] >= found["p"] - 1e-9).all()

    def test_methods_without_all_orders_are_left_out(self) -> None:
        scores = scores_of(s=lambda order: path_cost(symmetric(0), order))
        some = runs_of(lambda order: float(EVERY.index(order)), EVERY[:-1])
        assert regret(some, scores).empty
        flat = runs_of(lambda order: 0.5)
        assert regret(flat, scores).empty
        unknown = runs_of(lambda order: float(EVERY.index(order))).assign(backbone="siglip")
        assert regret(unknown, scores).empty

    def test_relabellings_are_those_of_names(self) -> None:
        relabelled, orders = _relabellings(list("abc")), list(permutations("abc"))
        for k, names in enumerate(orders):
            for o, order in enumerate(orders):
                renamed = tuple(names["abc".index(task)] for task in order)
                assert orders[relabelled[k, o]] == renamed


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_of_measures_do_not_matter(unit: float) -> None:
    S = symmetric(9)
    runs = runs_of(lambda order: path_cost(S, order) ** 2, EVERY, noise=0.1)
    plain, scaled = (scores_of(s=lambda order, u=u: u * path_cost(S, order)) for u in (1.0, unit))
    for function in (regret, dose_response):
        a, b = (
            function(runs, scores).drop(columns="sd", errors="ignore") for scores in (plain, scaled)
        )
        pd.testing.assert_frame_equal(a, b, rtol=1e-6)


class TestDoseResponse:
    def test_coefficients_are_those_of_least_squares(self) -> None:
        rng = np.random.default_rng(4)
        orders = [EVERY[i] for i in rng.permutation(120)[:40]]
        S = symmetric(5)
        runs = runs_of(lambda order: 0.1 * path_cost(S, order), orders, noise=0.3, seed=5)
        scores = scores_of(orders, s=lambda order: path_cost(S, order))
        (row,) = dose_response(runs, scores).to_dict("records")
        x = np.array([path_cost(S, order) for order in runs["order"]])
        data = runs.assign(
            x=(x - x.mean()) / (x[:40].std(ddof=1) * np.sqrt(119 / 120)),  # of all 120 orders
            first=[order[0] for order in runs["order"]],
            last=[order[-1] for order in runs["order"]],
        )
        formula = "average_accuracy ~ x + C(replicate) + C(first) + C(last)"
        assert row["slope"] == pytest.approx(smf.ols(formula, data).fit().params["x"])
        bent = smf.ols(formula + " + I(x ** 2)", data).fit()
        assert row["bend"] == pytest.approx(bent.params["I(x ** 2)"])
        assert row["low"] < row["slope"] < row["high"]
        assert (row["replicates"], row["runs"]) == (3, 120)

    def test_the_last_task_is_no_excuse(self) -> None:
        """The metric depends on the last task alone, and so does the score, almost."""
        rng = np.random.default_rng(6)
        extra = dict(zip(EVERY, 0.1 * rng.random(120), strict=True))
        runs = runs_of(lambda order: float(FIVE.index(order[-1])), noise=0.01)
        mixed = scores_of(s=lambda order: FIVE.index(order[-1]) + extra[order])
        (row,) = dose_response(runs, mixed).to_dict("records")
        assert abs(row["slope"]) < 0.1  # without the covariate about 1.4
        alone = scores_of(s=lambda order: float(FIVE.index(order[-1])))
        assert dose_response(runs, alone).empty

    def test_one_replicate_has_no_interval_and_no_row(self) -> None:
        scores = scores_of(s=lambda order: path_cost(symmetric(0), order))
        runs = runs_of(lambda order: float(EVERY.index(order)), replicates=1)
        assert dose_response(runs, scores).empty

    @pytest.mark.slow
    def test_intervals_hold_the_truth(self) -> None:
        """Runs of a replicate share noise that has to do with the score."""
        rng = np.random.default_rng(7)
        S, orders = symmetric(8), EVERY[::8]
        cost = np.array([path_cost(S, order) for order in orders])
        cost = (cost - cost.mean()) / cost.std()
        scores = scores_of(orders, s=lambda order: path_cost(S, order))
        held = 0
        for _ in range(300):
            runs = runs_of(lambda order: 0.0, orders, replicates=6, noise=0.1)
            runs["average_accuracy"] = np.concatenate(
                [(0.2 + 0.1 * rng.standard_normal()) * cost for _ in range(6)]
            ) + 0.05 * rng.standard_normal(len(runs))
            (row,) = dose_response(runs, scores).to_dict("records")
            held += row["low"] <= 0.2 <= row["high"]
        assert held / 300 >= 0.92


def test_scores_are_read_from_the_run_folder(tmp_path: Path) -> None:
    orders = random_orders(TASKS[:4], 24, 2)
    write_study(tmp_path, orders, World(tasks=TASKS[:4]), {"ewc": METHODS["ewc"]})
    assert order_scores(load(str(tmp_path))).empty
    similar = {name: symmetric(seed, 4) for seed, name in enumerate(("one", "other"))}
    write_similarity(tmp_path, similar, orders, TASKS[:4])
    results = load(str(tmp_path))
    scores = order_scores(results)
    assert set(scores["score"]) == {"path_cost", "adjacent"}
    assert len(regret(metrics(results), scores)) == 2 * scores["measure"].nunique()
    assert not dose_response(metrics(results), scores).empty
