"""Studies of several kinds of tasks: words, tables, samples that were drawn, stages left out."""

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from analysis import load, write_report
from analysis.data.accuracy_matrices import combine
from analysis.data.comparability import told_apart
from analysis.report.evaluation_settings import error_of_mean, sampling_errors
from analysis.report.panels import PANELS
from analysis.report.panels.compared_studies import ComparedStudies
from analysis.report.panels.evaluated_tasks import EvaluatedTasks
from analysis.report.panels.final_metrics import FinalMetrics
from analysis.report.panels.study_setup import StudySetup
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.answers import answers_of
from analysis.report.text.sentences import findings
from tests.analysis.kinds import MEASURED, PAIRS_AND_ANSWERS, write_kinds
from tests.analysis.synthetic import random_orders

ORDERS = random_orders(tuple(PAIRS_AND_ANSWERS), 6, 3)
MIXED = dict(PAIRS_AND_ANSWERS, pets="choices")
PROPER = r"\b\w*_accuracy\b|accuracy_\w+|\baccuracies\.parquet|\"accuracies\"|table=.accuracies."


def study_in(out: Path) -> StudyStatistics:
    return StudyStatistics(load(str(out)))


def words(html: str) -> str:
    body = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_no_sentence_speaks_of_accuracy_where_none_was_measured(tmp_path: Path) -> None:
    page = Path(write_report(str(write_kinds(tmp_path, ORDERS, error=0.02))))
    html = page.read_text()
    figures = re.search(r'id="figures"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert figures is not None
    labels = " ".join(re.findall(r'(?:aria-label|title|alt)="([^"]*)"', html))
    texts = [words(html), labels, figures.group(1)]
    texts += [(page.parent / name).read_text() for name in ("report.md", "CARD.md")]
    for text in texts:
        assert len(text) > 100
        assert re.findall(r".{0,40}accura.{0,20}", re.sub(PROPER, "", text), re.I) == []
    said = texts[0]
    for expected in ("Average score", "average score", "Score matrices", "is the best"):
        assert expected in said


def test_every_panel_draws_without_the_word(tmp_path: Path) -> None:
    study = study_in(write_kinds(tmp_path, ORDERS))
    drawn = 0
    for panel in PANELS:
        frame = panel.frame(study)
        if frame.empty:
            continue
        figure = panel.draw(frame, study)
        if figure is not None:
            drawn += 1
            assert not re.search("accura", re.sub(PROPER, "", figure.to_json()), re.I), panel.key
        assert "ccurac" not in re.sub(PROPER, "", panel.heading(study))
    assert drawn > 8


def test_accuracy_stays_accuracy(tmp_path: Path) -> None:
    kinds = dict.fromkeys(("a", "b", "c"), "choices")
    study = study_in(write_kinds(tmp_path, random_orders("abc", 6, 3), kinds))
    assert study.words.noun == "accuracy"
    assert study.metrics["average_accuracy"].title == "Average accuracy"
    assert "average accuracy" in findings(study)[0]
    assert "is the most accurate" in answers_of(study)[1].sentence
    mixed = study_in(write_kinds(tmp_path / "mixed", random_orders(tuple(MIXED), 6, 3), MIXED))
    assert mixed.words.noun == "score"


def test_tasks_are_listed_with_kind_score_and_error(tmp_path: Path) -> None:
    out = write_kinds(tmp_path, random_orders(tuple(MIXED), 6, 3), MIXED, error=0.02)
    (out / "plan.json").write_text(json.dumps({"tasks": {"pets": {"train": 64, "choices": 7}}}))
    study = study_in(out)
    panel = EvaluatedTasks()
    said = words(panel.below(panel.frame(study), study))
    assert re.search(r"captions task pairs recall \u2013 \u2013 500 0\.020 0\.\d+", said)
    assert re.search(r"charts task answers anls \u2013 \u2013 500 0\.020 0\.\d+", said)
    assert re.search(r"pets task choices accuracy 64 7 500 0\.020 0\.\d+", said)
    shown = [r for r in panel.frame(study)["metric"] if r.startswith(("i2t", "t2i"))]
    assert shown == ["i2t_r1", "i2t_r5", "t2i_r1", "t2i_r5"]
    assert "sampling_error" not in set(panel.frame(study)["metric"])


def test_native_metrics_are_the_means_of_what_was_measured(tmp_path: Path) -> None:
    study = study_in(write_kinds(tmp_path, ORDERS, error=0.02))
    frame = FinalMetrics().frame(study)
    assert "sampling_error" not in set(frame["metric"])
    ends = study.results.stages
    ends = ends[(ends["stage"] == 3) & (ends["method"] == "replay")]
    for metric in MEASURED["answers"]:
        mine = ends[(ends["eval_task"] == "charts") & (ends["metric"] == metric)]
        runs = mine.set_index(["replicate", "prefix"])["value"]
        found = frame[(frame["method"] == "replay") & (frame["eval_task"] == "charts")]
        found = found.set_index("metric").loc[metric]
        assert found["value"] == pytest.approx(runs.mean())
        assert found["runs"] == len(runs) == 18
        assert found["is_score"] == (metric == "anls")
    order = list(dict.fromkeys(frame.loc[frame["eval_task"] == "captions", "metric"]))
    assert order[:4] == ["recall", "i2t_r1", "i2t_r5", "i2t_r10"]


def test_samples_that_were_drawn_are_spoken_of(tmp_path: Path) -> None:
    out = write_kinds(tmp_path, ORDERS, error=0.03)
    (out / "plan.json").write_text(json.dumps({"tasks": {"charts": {"tested_of": 25250}}}))
    study = study_in(out)
    errors = sampling_errors(study.results)
    assert error_of_mean(errors, 3) == pytest.approx(0.03 / 3**0.5)
    said = words(StudySetup().below(StudySetup().frame(study), study))
    assert "charts on 500 of 25 250" in said
    assert "by up to 0.030 (standard error) and the mean over tasks by up to 0.017" in said
    assert "do not cover what others would have shown" in said
    assert "0.017" in answers_of(study)[0].detail[-1]
    little = study_in(write_kinds(tmp_path / "little", ORDERS, error=0.001))
    assert not any("samples" in line for line in answers_of(little)[0].detail)
    none = study_in(write_kinds(tmp_path / "none", ORDERS))
    assert "fixed part" not in words(StudySetup().below(StudySetup().frame(none), none))


def test_offered_classes_are_named(tmp_path: Path) -> None:
    orders = random_orders(tuple(MIXED), 6, 2)
    seen, own = {"choices": "seen"}, {"choices": "task"}
    study = study_in(write_kinds(tmp_path / "seen", orders, MIXED, evaluation=seen))
    words_ = "class-incremental: among the classes of all tasks learnt so far"
    assert words_ in report_text.size(study)
    assert words_ in words(StudySetup().below(StudySetup().frame(study), study))
    other = study_in(write_kinds(tmp_path / "own", orders, MIXED, evaluation=own))
    assert "classes" not in report_text.size(other)
    studies = {"seen": study.results, "own": other.results}
    both = StudyStatistics(
        combine(studies), configs={name: found.config for name, found in studies.items()}
    )
    about = ComparedStudies().about(ComparedStudies().frame(both), both)
    assert "seen: class-incremental" in about
    assert "own: task-incremental" in about
    # There is nothing to classify in tasks of other kinds.
    without = study_in(write_kinds(tmp_path / "without", ORDERS, evaluation=seen))
    assert "classes" not in report_text.size(without)


def test_stages_that_are_not_evaluated_are_no_gap_in_the_study(tmp_path: Path) -> None:
    orders = random_orders(tuple(MIXED), 6, 3)
    out = write_kinds(tmp_path / "every", orders, MIXED, evaluation={"every": 2})
    study = study_in(out)
    assert (study.results.runs["missing"] == 0).all()
    combined = combine({"a": study.results, "b": study.results})
    assert (combined.runs["missing"] == 0).all()
    whole = study_in(write_kinds(tmp_path / "whole", orders, MIXED))
    for metric in ("average_accuracy", "learning_accuracy", "bwt", "forgetting_last"):
        assert study.runs[metric].equals(whole.runs[metric])
    assert study.runs["average_incremental_accuracy"].isna().all()
    text = words(Path(write_report(str(out))).read_text())
    assert "after every 2 stages and after the last one" in text
    assert "no Average incremental score" in text
    assert "nan" not in text
    assert "are incomplete" not in text


def test_a_stage_that_should_be_there_is_missed(tmp_path: Path) -> None:
    """With every: 2 a run whose second stage lacks a task is incomplete, whose first is not."""
    orders = random_orders(tuple(MIXED), 1, 1)
    results = load(str(write_kinds(tmp_path, orders, MIXED, evaluation={"every": 2})))
    order = orders[0][0]
    gone = (results.stages["prefix"] == order[:2]) & (results.stages["eval_task"] == order[0])
    results.__dict__["stages"] = results.stages[~gone]
    assert (results.runs["missing"] == 1).all()


def test_untouched_backbones_are_compared_by_their_scores(tmp_path: Path) -> None:
    one = load(str(write_kinds(tmp_path / "one", ORDERS)))
    other = load(str(write_kinds(tmp_path / "other", ORDERS)))
    is_start = (other.stages["stage"] == 0) & (other.stages["metric"] == "anls")
    other.stages.loc[is_start, "value"] += 0.1
    _, said = told_apart({"one": one, "other": other})
    assert len(said) == 1
    assert "on charts in one" in said[0]


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_agreement_is_the_share_of_the_sampling_error_that_cancels(shared: float) -> None:
    """Known truth: of 20 000 samples 500 are drawn; two methods agree more or less."""
    rng = np.random.default_rng(5)
    common = rng.standard_normal(20_000)
    one, other = (
        (np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.standard_normal(20_000) < limit) * 1.0
        for limit in (0.6, 0.5)
    )
    drawn = [rng.choice(20_000, 500, replace=False) for _ in range(1500)]
    single = np.std([one[ids].mean() for ids in drawn])
    difference = np.std([(one - other)[ids].mean() for ids in drawn])
    agreement = np.corrcoef(one, other)[0, 1]
    expected = np.std(one) / np.sqrt(500) * np.sqrt(1 - 500 / 20_000)
    assert single == pytest.approx(expected, rel=0.08)
    assert difference == pytest.approx(single * np.sqrt(2 * (1 - agreement)), rel=0.08)
    assert difference < 1.5 * single
