"""The report's sections on contributions and failure modes show what was measured, no more."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load, write_report
from analysis.mechanisms.shapley_attribution import PLAYERS, coalition, subsets
from analysis.report.panels import all_contributions, feature_paths, transition_predictions
from analysis.report.panels.failure_mode_curves import FailureModeCurves
from analysis.report.study_statistics import StudyStatistics
from tests.analysis.embedded import write_embeddings
from tests.analysis.synthetic import (
    METHODS,
    World,
    random_orders,
    read_rows,
    write_rows,
    write_study,
)

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 2)
LEARNERS = {name: METHODS[name] for name in ("finetune", "ewc")}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", ORDERS, World(tasks=TASKS), LEARNERS)


@pytest.fixture
def out(plain: Path) -> Path:
    """A study that has measured everything."""
    write_embeddings(plain, ORDERS, LEARNERS, features=True)
    rng = np.random.default_rng(0)
    rows = read_rows(plain)
    for row in [row for row in rows if row["split"] == "task"]:
        for kind, players in PLAYERS.items():
            rows += [
                row | {"split": kind, "metric": coalition(found), "value": float(rng.random())}
                for found in subsets(players)
            ]
        rows.append(row | {"split": "alignment", "metric": "cosine", "value": float(rng.random())})
        rows.append(
            row | {"split": "alignment", "metric": "loss", "value": 2 * float(rng.random())}
        )
    write_rows(plain, rows)
    return plain


def test_all_kinds_are_shown_with_their_numbers(out: Path) -> None:
    study = StudyStatistics(load(str(out)))
    figure = all_contributions.AllContributions().draw(study.contribution_table, study)
    assert figure is not None
    places = all_contributions.traces_of(study.contribution_table, study.baseline_first)
    assert len(figure.data) == len(places) == len(all_contributions.KINDS) * 2
    assert [trace.visible for trace in figure.data] == [True] + [False] * (len(places) - 1)
    known = study.contribution_table.set_index(["kind", "method", "player", "target"])
    for (kind, _, method), trace in zip(places, figure.data, strict=True):
        for player, row in zip(trace.y, trace.z, strict=True):
            for target, value in zip(trace.x, row, strict=True):
                assert value == known.loc[(kind, method, player, target), "drift"]


def test_cells_that_the_order_decides_are_marked(out: Path) -> None:
    study = StudyStatistics(load(str(out)))
    figure = all_contributions.AllContributions().draw(study.contribution_table, study)
    assert figure is not None
    marked = sum(str(text).startswith("~") for trace in figure.data for text in trace.text.ravel())
    mine = study.contribution_table[study.contribution_table["kind"].isin(all_contributions.KINDS)]
    assert 0 < marked == (mine["signal"] < 0.5).sum() < len(mine)


def test_curves_are_those_of_the_failure_modes(out: Path) -> None:
    study = StudyStatistics(load(str(out)))
    panel = FailureModeCurves()
    found = panel.frame(study)
    figure = panel.draw(found, study)
    drawn = sorted(value for trace in figure.data for value in trace.y)
    assert drawn == sorted(found["mean"])


def test_features_have_a_picture_per_method_and_task(out: Path) -> None:
    study = StudyStatistics(load(str(out)))
    panel = feature_paths.FeaturePaths()
    found = panel.frame(study)
    figure = panel.draw(found, study)
    order = found["order"].iloc[0]
    assert len(figure.data) == len(LEARNERS) * (len(order) - 1)
    maps = found.set_index(["method", "task"])
    for (_, *place), trace in zip(
        feature_paths.traces_of(found, study.baseline_first), figure.data, strict=True
    ):
        mine = maps.loc[tuple(place)]
        assert list(trace.x[::3]) == list(mine["x"])
        assert list(trace.y[1::3]) == list(mine["y_end"])
        assert np.isnan(trace.x[2::3]).all()
        stars = sum(symbol == "star-open" for symbol in trace.marker.symbol)
        assert stars == (mine["modality"] == "text").sum()
        assert trace.customdata[1].endswith("after the last task")


def test_the_page_and_the_tables_hold_everything(out: Path) -> None:
    html = Path(write_report(str(out))).read_text()
    for section in ("pairs", "modes", "features", "transitions"):
        assert f'<section id="{section}"' in html
    models = pd.read_parquet(out / "tables" / "transition_models.parquet")
    assert set(models["response"]) == set(transition_predictions.RESPONSES)
    kinds = pd.read_parquet(out / "tables" / "contribution_types.parquet")
    assert set(kinds["kind"]) == {*all_contributions.KINDS, "gain", "text_image", "method"}
    assert len(pd.read_parquet(out / "tables" / "alignment_drift.parquet")) == 2 * 4 * 2 * 4


def test_what_was_not_measured_is_not_there(plain: Path) -> None:
    html = Path(write_report(str(plain))).read_text()
    assert '<section id="transitions"' not in html
    assert '<section id="features"' not in html
    kinds = pd.read_parquet(plain / "tables" / "contribution_types.parquet")
    assert set(kinds["kind"]) == {"gain", "method"}
    assert pd.read_parquet(plain / "tables" / "attribution_stages.parquet").empty
    measured = set(pd.read_parquet(plain / "tables" / "failure_modes.parquet")["measure"])
    assert measured == {
        *("interference", "recall_divergence", "zero_shot_erosion", "retrieval_erosion")
    }


def test_extra_measures_are_no_evaluations_of_their_own(out: Path) -> None:
    study = StudyStatistics(load(str(out)))
    assert set(study.evaluations["split"]) == {"task", "probe", "retrieval"}
