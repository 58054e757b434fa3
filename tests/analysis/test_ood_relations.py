"""OOD detection in the analysis: metrics, tables, and correlations with a known truth."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import METRICS, metrics
from analysis.data.accuracy_matrices import from_matrices
from analysis.data.results import STAGE, Results
from analysis.mechanisms.ood_relations import ood_pairs, ood_relations, ood_stages
from analysis.report.panels.ood_curves import OodCurves
from analysis.report.panels.ood_heatmap import OodHeatmap, _counted, _related
from analysis.report.study_statistics import StudyStatistics

TASKS = ("a", "b", "c", "d")
PAIRS = list(permutations(TASKS, 2))
Auroc = Callable[[int, tuple[str, ...], str, str], float]
"""From replicate, prefix, the task in distribution and the one out of it."""


def embedded(stages: pd.DataFrame, gram: np.ndarray) -> pd.DataFrame:
    """Mean embeddings whose products <m_I(s), m_T(t)> are `gram`, at all stages."""
    rows = stages[[*STAGE, "eval_task"]].drop_duplicates()
    places = rows["eval_task"].map(TASKS.index)
    images = rows.assign(modality="image", vector=[np.eye(len(TASKS))[i] for i in places])
    texts = rows.assign(modality="text", vector=[gram[:, i] for i in places])
    return pd.concat([images, texts], ignore_index=True)


def study_of(
    auroc: Auroc, gram: np.ndarray | None = None, replicates: int = 4, shared: float = 0.0
) -> Results:
    """All orders of some tasks; the cumulative AUROC is the mean of those of its pairs."""
    orders = [*list(permutations(TASKS))[::5]]
    count = len(orders) * replicates
    results = from_matrices(
        [np.full((len(TASKS) + 1, len(TASKS)), 0.5)] * count,
        orders * replicates,
        replicates=[r for r in range(replicates) for _ in orders],
    )
    stages, rows = results.stages, []
    for stage in stages.drop_duplicates(STAGE).to_dict("records"):
        prefix, replicate = stage["prefix"], stage["replicate"]
        stage = {name: stage[name] for name in stages.columns}
        value = {pair: auroc(replicate, prefix, *pair) for pair in PAIRS}
        for (one, other), found in value.items():
            rows.append(stage | {"split": "ood", "eval_task": one, "metric": other, "value": found})
        across = [v for (i, j), v in value.items() if i in prefix and j not in prefix]
        head = stage | {"split": "ood_cumulative"}
        if across:
            rows.append(head | {"eval_task": "all tasks", "metric": "unlearnt"})
            rows[-1]["value"] = float(np.mean(across))
        if prefix:
            rows.append(head | {"eval_task": "suite", "metric": "probe", "value": 0.8})
        if shared:
            key = {"split": "ood_shared", "eval_task": "a", "metric": "b", "value": shared}
            rows.append(stage | key)
    gram = np.eye(len(TASKS)) if gram is None else gram
    found = pd.concat([stages, pd.DataFrame(rows)], ignore_index=True)
    return replace(results, stages=found, embedded=embedded(stages, gram))


def made_up(replicate: int, prefix: tuple[str, ...], one: str, other: str) -> float:
    """Another number for every stage and ordered pair."""
    seed = [replicate + 1, len(prefix), *map(ord, (*prefix, one, other))]
    return float(np.random.default_rng(seed).uniform(0.3, 0.9)) if prefix else 0.6


def test_metrics_are_means_of_what_was_measured() -> None:
    results = study_of(made_up)
    runs = metrics(results)
    run = runs.iloc[7]
    prefixes = [run["order"][:k] for k in range(1, 5)]
    of_pairs = [made_up(run["replicate"], prefixes[-1], *pair) for pair in PAIRS]
    assert run["ood_pairwise"] == pytest.approx(np.mean(of_pairs))
    cumulative = [
        np.mean(
            [
                made_up(run["replicate"], prefix, i, j)
                for i, j in PAIRS
                if i in prefix and j not in prefix
            ]
        )
        for prefix in prefixes[:-1]
    ]
    assert run["ood_cumulative"] == pytest.approx(np.mean(cumulative))
    assert run["ood_probes"] == pytest.approx(0.8)
    assert METRICS["ood_pairwise"].limits == (0, 1)


def test_pairs_and_stages_are_means_over_replicates() -> None:
    results = study_of(made_up, shared=0.25)
    runs = metrics(results)
    found = ood_pairs(results, runs).set_index(["inside", "outside"])
    assert len(found) == len(PAIRS)
    means = [
        np.mean([made_up(r, order, "b", "a") for order in runs["order"].unique()]) for r in range(4)
    ]
    row = found.loc[("b", "a")]
    assert row["mean"] == pytest.approx(np.mean(means))
    half = 3.182446 * np.std(means, ddof=1) / 2
    assert row["low"] == pytest.approx(row["mean"] - half, abs=1e-6)
    assert row["start"] == pytest.approx(0.6)
    assert found["shared"].to_dict() == {pair: 0.25 * (pair == ("a", "b")) for pair in PAIRS}
    stages = ood_stages(results, runs).groupby("outside")["stage"].apply(list)
    assert stages.to_dict() == {"probes": [1, 2, 3, 4], "unlearnt": [1, 2, 3]}


def test_the_direction_of_a_pair_counts() -> None:
    """AUROC(i, j) falls with Con_IT(i, j), so it does not with Con_TI(i, j) = Con_IT(j, i)."""
    gram = np.random.default_rng(0).uniform(0, 1, (4, 4))

    def told(replicate: int, prefix: tuple[str, ...], one: str, other: str) -> float:
        noise = 1e-3 * made_up(replicate, prefix, one, other)
        return 0.9 - 0.5 * gram[TASKS.index(one), TASKS.index(other)] + noise

    results = study_of(told, gram)
    found = ood_relations(results, metrics(results))
    found = found.set_index(["relation", "stage", "contributions"])
    others = ~np.eye(4, dtype=bool)
    across = np.corrcoef(gram[others], gram.T[others])[0, 1]
    for stage in ("start", "end"):
        assert found.loc[("pairs", stage, "image_text"), "r"] == pytest.approx(-1, abs=1e-4)
        assert found.loc[("pairs", stage, "text_image"), "r"] == pytest.approx(-across, abs=1e-2)
        assert found.loc[("pairs", stage, "image_text"), "p"] == pytest.approx(1 / 24)
    assert np.isfinite(
        found.loc[("pairs", "end", "image_text"), ["low", "high"]].astype(float)
    ).all()
    # The untouched backbone is one, in whichever replicate.
    assert found.loc[("pairs", "start", "image_text"), ["low", "high"]].isna().all()
    assert found.loc[("pairs", "start", "image_text"), "replicates"] == 1
    assert found.loc[("pairs", "end", "image_text"), "size"] == len(PAIRS)


def test_the_cost_of_an_order_is_that_of_theorem_3() -> None:
    gram = np.random.default_rng(1).uniform(0, 1, (4, 4))
    results = study_of(made_up, gram)
    runs = metrics(results)
    place = {task: i for i, task in enumerate(TASKS)}
    cost = [sum(gram[place[s], place[t]] for s, t in pairwise(order)) for order in runs["order"]]
    wide = runs.assign(cost=cost).groupby("replicate")[["cost", "ood_cumulative"]]
    z = np.arctanh([part.corr().iloc[0, 1] for _, part in wide])
    row = ood_relations(results, runs).query("relation == 'cost'").iloc[0]
    assert row["r"] == pytest.approx(np.tanh(z.mean()))
    half = 3.182446 * z.std(ddof=1) / 2
    assert [row["low"], row["high"]] == pytest.approx(np.tanh([z.mean() - half, z.mean() + half]))
    assert 0 < row["p"] <= 1


def test_what_is_degenerate_is_no_number() -> None:
    results = study_of(lambda *_: 0.7)
    found = ood_relations(results, metrics(results))
    assert found[["r", "low", "high", "p"]].isna().all(axis=None)
    assert (found["replicates"] == 0).all()

    def same(replicate: int, prefix: tuple[str, ...], one: str, other: str) -> float:
        return made_up(0, ("a",), one, other)

    results = study_of(same, np.random.default_rng(2).uniform(0, 1, (4, 4)))
    found = ood_relations(results, metrics(results)).query("relation == 'pairs'")
    assert found["r"].notna().all()
    assert found[["low", "high"]].isna().all(axis=None)  # no width, rather than a width of 0


@pytest.mark.slow
@pytest.mark.parametrize("rho", [-0.5, 0.8])
def test_the_interval_holds_the_true_correlation(rho: float) -> None:
    from analysis.mechanisms.ood_relations import _of_pairs

    rng, T, replicates, studies, hits = np.random.default_rng(3), 6, 5, 1500, 0
    others = ~np.eye(T, dtype=bool)
    runs = pd.DataFrame({"replicate": range(replicates), "order": [("a",)] * replicates})
    runs["planned"] = 1
    with pytest.MonkeyPatch.context() as patch:
        names = np.arange(T)[None]
        patch.setattr("analysis.mechanisms.ood_relations.task_permutations", lambda *_: names)
        for _ in range(studies):
            scores, told = np.zeros((2, replicates, T, T))
            x, noise = rng.standard_normal((2, replicates, others.sum()))
            scores[:, others], told[:, others] = x, rho * x + np.sqrt(1 - rho**2) * noise
            found = _of_pairs(scores, told, runs)
            hits += found["low"] <= rho <= found["high"]
    assert 0.935 <= hits / studies <= 0.965


def test_the_page_shows_pairs_and_stages_and_says_what_it_shows() -> None:
    study = StudyStatistics(study_of(made_up, shared=0.25))
    for panel in (OodHeatmap(), OodCurves()):
        frame = panel.frame(study)
        figure = panel.draw(frame, study)
        assert len(figure.data) > 0
        assert panel.finding(frame, study).endswith(".")
        assert panel.caption(frame, study).startswith("Unit: ")
    heat = OodHeatmap()
    frame = heat.frame(study)
    (trace,) = heat.draw(frame, study).data
    known = frame.set_index(["inside", "outside"])["mean"]
    for inside, row in zip(trace.y, trace.z, strict=True):
        for outside, value in zip(trace.x, row, strict=True):
            assert (value is None) == (inside == outside)
            assert value is None or value == known[inside, outside]
    assert "a and b" in heat.caption(frame, study)
    assert "Con_IT" in heat.below(frame, study)
    plain = StudyStatistics(from_matrices([[[0.9, 0.2], [0.7, 0.8]]], [("cars", "pets")]))
    assert heat.frame(plain).empty
    assert OodCurves().frame(plain).empty


def test_the_finding_counts_only_what_intervals_show() -> None:
    frame = pd.DataFrame(
        {
            "mean": [0.9, 0.6, 0.3, 0.7, 0.52],
            "low": [0.8, 0.45, 0.2, np.nan, np.nan],
            "high": [1.0, 0.75, 0.4, np.nan, np.nan],
        }
    )
    said = "1 of 3 pairs of tasks are told apart better than by chance and 1 the wrong way round"
    assert said in _counted(frame)
    assert "2 of 2 pairs of tasks have an AUROC above chance" in _counted(frame[3:])


def test_the_finding_names_methods_whose_relation_is_shown() -> None:
    def said(**columns: list[float]) -> str:
        names = {"backbone": "clip", "relation": "pairs", "stage": "end"}
        found = pd.DataFrame(columns | {"method": ["er", "lwf"]}).assign(
            **names, contributions="image_text"
        )
        study: Any = SimpleNamespace(ood_relations=found, called=lambda _, method: method)
        return _related(study)

    shown = said(r=[-0.5, -0.2], low=[-0.7, -0.5], high=[-0.2, 0.1])
    assert "goes with it for er (r = -0.500" in shown
    assert "lwf" not in shown
    assert "shown for no method" in said(r=[-0.5, 0.2], low=[-0.9, -0.5], high=[0.2, 0.6])
    assert said(r=[0.1, 0.2], low=[np.nan] * 2, high=[np.nan] * 2) == ""
