"""Similarity, places and convergence: their frames by hand, their figures from their frames."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis import anytime_interval, load, t_interval
from analysis.orders.ranking import rank_shares
from analysis.report.panels.convergence_curves import ConvergenceCurves
from analysis.report.panels.method_places import MethodPlaces
from analysis.report.panels.similar_neighbours import SimilarNeighbours
from analysis.report.panels.similar_pairs import SimilarPairs
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.sentences import findings
from tests.analysis.invented_runs import runs_of
from tests.analysis.synthetic import World, random_orders, write_similarity, write_study

TASKS = ("a", "b", "c", "d")
ORDERS = random_orders(TASKS, 8, 5)


@pytest.fixture
def study(tmp_path: Path) -> StudyStatistics:
    """Measured alike by two measures: one of tasks' distance in this world, one of nothing."""
    write_study(tmp_path, ORDERS, World(tasks=TASKS))
    place = np.arange(4)
    similar = 1 - np.abs(place[:, None] - place) / 4
    noise = np.random.default_rng(0).random((4, 4))
    write_similarity(tmp_path, {"near": similar, "noise": noise}, ORDERS, TASKS)
    return StudyStatistics(load(tmp_path))


def test_places_by_hand() -> None:
    """b wins two of four runs and shares one; c is always last, once with a."""
    a, b, c = ([[0.9, 0.5, 0.5, 0.2]], [[0.8, 0.6, 0.5, 0.9]], [[0.1, 0.1, 0.1, 0.2]])
    runs = runs_of({"a": np.array(a), "b": np.array(b), "c": np.array(c)})
    found = rank_shares(runs).set_index(["method", "rank"])["share"].unstack()
    assert found.loc["a"].tolist() == pytest.approx([0.375, 0.5, 0.125])
    assert found.loc["b"].tolist() == pytest.approx([0.625, 0.375, 0])
    assert found.loc["c"].tolist() == pytest.approx([0, 0.125, 0.875])
    assert list(dict.fromkeys(rank_shares(runs)["method"])) == ["b", "a", "c"]


def test_every_place_is_taken_once_per_run(study: StudyStatistics) -> None:
    ranks = MethodPlaces().frame(study)
    shares = ranks.groupby("rank")["share"].sum()
    assert shares.tolist() == pytest.approx([1] * 5)
    weighted = ranks.assign(weighted=ranks["rank"] * ranks["share"])
    means = weighted.groupby("method")["weighted"].sum()
    known = ranks.groupby("method")["mean_rank"].max()
    assert means.to_numpy() == pytest.approx(known.to_numpy())
    figure = MethodPlaces().draw(ranks, study)
    assert [bar.name for bar in figure.data] == [f"place {i}" for i in range(1, 6)]
    assert np.sum([bar.x for bar in figure.data], axis=0) == pytest.approx(np.ones(5))


def test_convergence_panels_show_what_was_known(study: StudyStatistics) -> None:
    figure = ConvergenceCurves().draw(ConvergenceCurves().frame(study), study)
    means = [trace for trace in figure.data if trace.customdata is not None]
    assert len(means) == len(study.groups) == 5
    for (_, method), trace in zip(study.groups, means, strict=True):
        runs = study.runs[study.runs["method"] == method]
        blocks = runs.groupby("replicate")["average_accuracy"].mean().to_numpy()
        assert list(trace.x) == [1, 2, 3, 4, 5]
        assert list(trace.y) == pytest.approx([blocks[:n].mean() for n in range(1, 6)])
        for n, bounds in enumerate(trace.customdata, 1):
            for known, shown in ((t_interval, bounds[:2]), (anytime_interval, bounds[2:])):
                assert shown == pytest.approx(np.clip(known(blocks[:n])[1:], 0, 1), nan_ok=True)


def test_one_replicate_shows_no_convergence(tmp_path: Path) -> None:
    write_study(tmp_path, ORDERS[:1], World(tasks=TASKS))
    assert ConvergenceCurves().frame(StudyStatistics(load(tmp_path))).empty


def test_pairs_are_those_of_both_tables(study: StudyStatistics) -> None:
    pairs = study.similarity_pairs
    assert len(pairs) == 5 * 2 * 12
    gained = study.contributions.set_index(["method", "trained", "task"])["mean"]
    near = pairs[pairs["measure"] == "near"]
    for row in near.itertuples():
        assert row.similarity == 1 - abs(TASKS.index(row.trained) - TASKS.index(row.task)) / 4
        assert row.contribution == gained[row.method, row.trained, row.task]


def test_effects_are_correlations_of_these_pairs(study: StudyStatistics) -> None:
    """In this world what is far from the task just learnt is forgotten most."""
    pairs, found = study.similarity_pairs, study.similarity.set_index(["method", "measure"])
    mine = pairs[(pairs["method"] == "finetune") & (pairs["measure"] == "near")]
    expected = stats.pearsonr(mine["similarity"], mine["contribution"]).statistic
    assert found.loc[("finetune", "near"), "r"] == pytest.approx(expected)
    assert expected > 0.2
    assert found["p"].min() > 0
    slope = found.loc[("finetune", "near")]
    assert slope["low"] < slope["slope"] < slope["high"]
    assert np.isnan(found.loc[("zero_shot", "near"), "slope"])


def test_scatters_show_the_first_measure(study: StudyStatistics) -> None:
    scores = study.adjacencies
    figure = SimilarNeighbours().draw(study.similarity, study)
    dots = [trace for trace in figure.data if trace.meta == "runs"]
    known = scores[scores["measure"] == "near"].set_index("order")["value"]
    for trace in dots:
        runs = study.runs[study.runs["method"] == trace.name]
        assert list(trace.x) == [known[order] for order in runs["order"]]
        assert list(trace.y) == list(runs["average_accuracy"])
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert len(lines) == len(dots) == 4  # not of zero_shot, which no order moves
    pairs = SimilarPairs().draw(study.similarity_pairs, study)
    assert sum(len(trace.x) for trace in pairs.data) == 4 * 12


def test_a_study_that_stopped_says_why(tmp_path: Path) -> None:
    write_study(tmp_path, ORDERS, World(tasks=TASKS))
    assert not [said for said in findings(StudyStatistics(load(tmp_path))) if "stopped" in said]
    reason = "stopped after 5 of 9 replicates: average accuracy of ewc is known"
    (tmp_path / "manifest.json").write_text(json.dumps({"stopped": reason}))
    (said,) = [said for said in findings(StudyStatistics(load(tmp_path))) if reason in said]
    assert said.startswith(f"The study {reason}. It stops where the spread")


def test_without_similarity_there_is_no_such_part(tmp_path: Path) -> None:
    write_study(tmp_path, ORDERS, World(tasks=TASKS))
    study = StudyStatistics(load(tmp_path))
    assert study.adjacencies.empty
    assert study.similarity.empty
    assert SimilarNeighbours().frame(study).empty
    assert SimilarPairs().frame(study).empty
