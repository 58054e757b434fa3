"""Shapley values: axioms and brute force, and what becomes of measured coalitions."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis import load, metrics
from analysis.data.results import Results
from analysis.mechanisms.shapley_attribution import (
    PLAYERS,
    attribution_stages,
    attributions,
    coalition,
    shapley,
    subsets,
)
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

WORTH = st.floats(0, 1)


@st.composite
def games(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    players = list("pqrs"[: draw(st.integers(1, 4))])
    return players, draw(arrays(float, (2, 2 ** len(players)), elements=WORTH))


@given(games())
def test_shapley_is_the_mean_over_all_orders_of_joining(game: object) -> None:
    players, worth = game
    place = {frozenset(found): i for i, found in enumerate(subsets(players))}
    expected = np.zeros((2, len(players)))
    orders = list(permutations(players))
    for order in orders:
        for k, player in enumerate(order):
            with_it, without = (place[frozenset(order[: k + n])] for n in (1, 0))
            gained = worth[:, with_it] - worth[:, without]
            expected[:, players.index(player)] += gained / len(orders)
    assert shapley(worth, players) == pytest.approx(expected, abs=1e-12)


@given(games())
def test_shapley_shares_out_everything(game: object) -> None:
    players, worth = game
    assert shapley(worth, players).sum(axis=1) == pytest.approx(worth[:, -1] - worth[:, 0])


@given(games())
def test_players_that_do_the_same_get_the_same(game: object) -> None:
    players, worth = game
    by_size = np.array([worth[0, len(found)] for found in subsets(players)])
    assert np.ptp(shapley(by_size, players)) < 1e-12


@given(games())
def test_a_player_that_adds_nothing_gets_nothing(game: object) -> None:
    players, worth = game
    sets = subsets(players)
    without = [sets.index(tuple(p for p in found if p != players[0])) for found in sets]
    assert shapley(worth[:, without], players)[:, 0] == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("world")
    methods = {name: METHODS[name] for name in ("finetune", "ewc")}
    write_study(out, random_orders("abc", 4, 2), World(tasks=("a", "b", "c")), methods)
    plain = load(str(out))
    rows = [plain.stages]
    rng = np.random.default_rng(0)
    own = plain.stages[(plain.stages["split"] == "task") & (plain.stages["method"] == "ewc")]
    for kind, players in PLAYERS.items():
        for found in subsets(players):
            value = rng.random(len(own))
            rows.append(own.assign(split=kind, metric=coalition(found), value=value))
    return Results(pd.concat(rows, ignore_index=True), plain.orders)


@pytest.mark.parametrize("kind", PLAYERS)
def test_attributions_share_out_what_was_measured(results: Results, kind: str) -> None:
    (part,) = (p for p in attributions(results, metrics(results)) if p.kind == kind)
    assert part.head["method"] == "ewc"
    assert part.players == list(PLAYERS[kind])
    measured = results.stages[results.stages["split"] == kind]
    worth = measured.set_index(["replicate", "prefix", "eval_task", "metric"])["value"]
    for run, values in zip(part.runs.itertuples(), part.values, strict=True):
        for task, shares in zip(part.targets, values.T, strict=True):
            both, none = (
                worth[run.replicate, run.order, task, coalition(found)]
                for found in (PLAYERS[kind], ())
            )
            assert shares.sum() == pytest.approx(both - none)


def test_attribution_stages_are_means_over_tasks_and_runs(results: Results) -> None:
    runs = metrics(results)
    found = attribution_stages(results, runs).set_index(["kind", "player", "stage"])["mean"]
    for part in attributions(results, runs):
        for i, player in enumerate(part.players):
            last = part.values[:, i].mean()
            assert found[part.kind, player, 3] == pytest.approx(last)
