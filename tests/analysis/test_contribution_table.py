"""Contributions and their robustness: identities, brute force, closed forms."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis import load, metrics
from analysis.data.results import Results
from analysis.mechanisms.contribution_table import (
    Contributions,
    agreement,
    contribution_table,
    contribution_types,
    contribution_values,
    mean_tau,
)
from analysis.mechanisms.task_contributions import contributions, gains, method_contributions
from analysis.orders.robustness import bad_order_average
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

TASKS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("world")
    methods = {name: METHODS[name] for name in ("zero_shot", "ewc", "finetune")}
    return load(str(write_study(folder, random_orders(TASKS, 8, 3), World(tasks=TASKS), methods)))


def runs_of(orders: list[tuple[str, ...]], replicates: list[int]) -> pd.DataFrame:
    size = pd.Series(replicates).value_counts()
    return pd.DataFrame(
        {
            "backbone": "b",
            "method": "m",
            "replicate": replicates,
            "order": orders,
            "planned": [size[r] for r in replicates],
        }
    )


def made(
    values: np.ndarray, replicates: int = 2, tasks: tuple[str, ...] = ("a", "b", "c")
) -> Contributions:
    """Contributions with given values [runs, cells]; player and target are the cells' numbers."""
    orders = [block for r in range(replicates) for block in random_orders(tasks, 6, 1, r)[0]]
    numbers = [r for r in range(replicates) for _ in range(6)]
    return Contributions(
        kind="made",
        runs=runs_of(orders, numbers),
        players=list(tasks[: values.shape[1]]),
        targets=["x"],
        values=values[:, :, None],
        start=np.zeros((values.shape[1], 1)),
    )


def test_gains_of_a_run_add_up_to_all_that_was_gained(results: Results) -> None:
    for found in gains(results, metrics(results)):
        for run, c in zip(found.runs.itertuples(), found.values, strict=True):
            R = results.matrix(run.backbone, run.method, run.replicate, run.order)
            gained = (R.iloc[-1] - R.iloc[0])[found.targets]
            assert c.sum(axis=0) == pytest.approx(gained.to_numpy(), abs=1e-12)


def test_a_gain_is_what_its_stage_changed(results: Results) -> None:
    table = contribution_values(gains(results, metrics(results)))
    row = table[(table["method"] == "ewc") & (table["player"] != table["target"])].iloc[17]
    R = results.matrix(row["backbone"], row["method"], row["replicate"], row["order"])
    k = row["order"].index(row["player"]) + 1
    assert row["value"] == R[row["target"]].iloc[k] - R[row["target"]].iloc[k - 1]


def test_what_comes_before_and_after_makes_the_mean(results: Results) -> None:
    """Every order is one or the other, so the mean lies between, weighted by their numbers."""
    found = contributions(results, metrics(results))
    table = contribution_values(gains(results, metrics(results)))
    earlier = [o.index(p) < o.index(t) for o, p, t in table[["order", "player", "target"]].values]
    share = table.assign(earlier=earlier).groupby(["method", "player", "target"])["earlier"].mean()
    for row in found[found["trained"] != found["task"]].itertuples():
        p = share[row.method, row.trained, row.task]
        assert p * row.before + (1 - p) * row.after == pytest.approx(row.mean)
    assert found.loc[found["trained"] == found["task"], ["before", "after"]].isna().all(axis=None)


def test_renaming_tasks_renames_results(tmp_path: Path) -> None:
    new = dict(zip(TASKS, ("z", "y", "x", "w"), strict=True))
    blocks = random_orders(TASKS, 8, 2)
    renamed = [[tuple(new[task] for task in order) for order in block] for block in blocks]
    found = []
    for name, orders, tasks in (("one", blocks, TASKS), ("two", renamed, tuple(new.values()))):
        out = load(str(write_study(tmp_path / name, orders, World(tasks=tasks))))
        found.append(contribution_table(gains(out, metrics(out))))
    key = ["method", "player", "target"]
    one = found[0].assign(player=found[0]["player"].map(new), target=found[0]["target"].map(new))
    one, two = (frame.sort_values(key, ignore_index=True) for frame in (one, found[1]))
    pd.testing.assert_frame_equal(one, two)


def test_a_method_that_learns_nothing_is_not_moved_by_the_order(results: Results) -> None:
    found = contribution_table(gains(results, metrics(results)))
    still = found[found["method"] == "zero_shot"]
    assert (still[["mean", "order_sd", "seed_sd", "sign", "worst_tenth"]] == 0).all(axis=None)
    assert still[["signal", "order_share", "position"]].isna().all(axis=None)


def test_numbers_of_a_cell_by_hand() -> None:
    y = np.random.default_rng(0).normal(0.02, 0.05, (12, 1))
    (row,) = contribution_table([made(y)]).itertuples()
    first, second = y[:6, 0], y[6:, 0]
    assert row.mean == pytest.approx(y.mean())
    error = np.std([first.mean(), second.mean()], ddof=1) / 2**0.5
    assert (row.low, row.high) == pytest.approx(stats.t.interval(0.95, 1, y.mean(), error))
    variance = (first.var() + second.var()) / 2  # all orders of three tasks are there
    assert row.order_sd == pytest.approx(variance**0.5)
    assert row.signal == pytest.approx(y.mean() ** 2 / (y.mean() ** 2 + variance))
    assert row.sign == (y > 0).mean() - (y < 0).mean()
    assert row.worst_tenth == bad_order_average(y[:, 0])
    assert row.order_share == variance / (variance + row.seed_sd**2)


EFFECTS = {
    "position": lambda order: float(order.index("a")),
    "predecessor": lambda order: {"a": 0.0, "b": 2.0, "c": 5.0}[("a", *order)[order.index("a")]],
}
"""Of the order on a contribution of task a. What comes before it, "a" itself: nothing."""


@pytest.mark.parametrize("feature", EFFECTS)
def test_what_explains_a_contribution_is_found(feature: str) -> None:
    runs = made(np.zeros((12, 1))).runs
    effect = np.array([EFFECTS[feature](order) for order in runs["order"]])
    shift = 5.0 * runs["replicate"].to_numpy()  # of the seed: not the order's
    (row,) = contribution_table([made((effect + shift)[:, None])]).itertuples()
    assert getattr(row, feature) == pytest.approx(1)
    other = "predecessor" if feature == "position" else "position"
    assert getattr(row, other) < 0.9


def test_noise_explains_nothing() -> None:
    rng = np.random.default_rng(1)
    found = contribution_table([made(rng.standard_normal((120, 3)), replicates=20)])
    assert found["position"].max() < 0.1
    assert found["predecessor"].max() < 0.1


def test_players_that_are_no_tasks_have_no_position() -> None:
    part = made(np.random.default_rng(2).random((12, 1)))
    tower = Contributions(**{**vars(part), "players": ["vision"]})
    assert contribution_table([tower])[["position", "predecessor", "before"]].isna().all(axis=None)


SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.5])


@given(arrays(float, st.tuples(st.integers(2, 5), st.integers(2, 6)), elements=SCORES))
def test_agreement_counts_all_pairs_of_rows(table: np.ndarray) -> None:
    agreed = possible = 0
    for one, other in combinations(table, 2):
        for i, j in combinations(range(table.shape[1]), 2):
            s = np.sign(one[i] - one[j]) * np.sign(other[i] - other[j])
            agreed, possible = agreed + s, possible + abs(s)
    assert mean_tau(table) == pytest.approx(agreed / possible if possible else np.nan, nan_ok=True)


def test_agreement_without_ties_is_the_mean_kendall_tau() -> None:
    table = np.random.default_rng(3).random((12, 3))
    taus = [stats.kendalltau(*pair).statistic for pair in combinations(table, 2)]
    (row,) = agreement([made(table)]).itertuples()
    assert row.tau == pytest.approx(np.mean(taus))
    assert (row.contributions, row.runs) == (3, 12)


def test_long_format_holds_every_cell_of_every_run(results: Results) -> None:
    parts = list(gains(results, metrics(results)))
    table = contribution_values(parts)
    assert len(table) == sum(part.values.size for part in parts)
    assert not table.duplicated(["method", "replicate", "order", "player", "target"]).any()
    means = table.groupby(["method", "player", "target"])["value"].mean()
    known = contribution_table(parts).set_index(["method", "player", "target"])["mean"]
    assert (means - known).abs().max() < 1e-12


def test_kinds_sum_up_their_cells(results: Results) -> None:
    parts = list(gains(results, metrics(results)))
    known, agreed = contribution_table(parts), agreement(parts)
    found = contribution_types(known, agreed).set_index("method")
    mine = known[known["method"] == "ewc"]
    sure = (mine["low"] > 0) | (mine["high"] < 0)
    assert 0 < found.loc["ewc", "certain"] == sure.mean() < 1
    assert found.loc["ewc", "order_sd"] == mine["order_sd"].median()
    assert found.loc["ewc", "sign"] == mine["sign"].abs().median()
    assert found.loc["zero_shot", "certain"] == 0


def test_a_method_contributes_its_paired_gain_and_better_is_positive(results: Results) -> None:
    runs = metrics(results)
    found = {part.head["method"]: part for part in method_contributions(runs, "finetune")}
    assert set(found) == {"ewc", "zero_shot"}
    part, pair = found["ewc"], ["replicate", "order"]
    own, base = (
        runs[runs["method"] == method].set_index(pair)[part.targets]
        for method in ("ewc", "finetune")
    )
    gained = (own - base).loc[list(part.runs[pair].itertuples(index=False, name=None))]
    accuracy, forgetting = (part.targets.index(m) for m in ("average_accuracy", "forgetting_max"))
    assert part.values[:, 0, accuracy] == pytest.approx(gained["average_accuracy"].to_numpy())
    assert part.values[:, 0, forgetting] == pytest.approx(-gained["forgetting_max"].to_numpy())
    assert part.values[:, 0, forgetting].mean() > 0  # ewc forgets less
