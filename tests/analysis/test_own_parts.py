"""A metric and a panel of one's own: one object each, and nothing inside the package changes."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from analysis import (
    METRICS,
    Metric,
    Panel,
    compare,
    comparison,
    metrics,
    summary,
    tiny_study,
    write_report,
)
from analysis.report.panels import PANELS, with_own
from analysis.report.study_statistics import StudyStatistics
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

TASKS = ("a", "b", "c")


def spread_of_tasks(R: np.ndarray) -> np.ndarray:
    """Maximum over i of R[T, i], minus its minimum."""
    spread: np.ndarray = np.ptp(R[..., -1, :], axis=-1)
    return spread


OWN = Metric("spread_of_tasks", "Spread <of> tasks", spread_of_tasks, higher_is_better=False)


class FinalByTask(Panel):
    """Shows final accuracy by task."""

    key, title, table, after = "by_task", "Final <accuracy>", "by_task", "orders"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        return study.runs.groupby("method")["average_accuracy"].mean().reset_index()

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        return go.Figure(go.Bar(x=frame["method"], y=frame["average_accuracy"]))

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        return "Unit: fraction; no interval, a < b."


@pytest.fixture
def out(tmp_path: Path) -> Path:
    methods = {name: METHODS[name] for name in ("finetune", "ewc")}
    return write_study(tmp_path / "study", random_orders(TASKS, 4, 2), World(tasks=TASKS), methods)


def test_a_metric_gets_a_column_and_changes_no_other() -> None:
    results = tiny_study()
    runs = metrics(results, extra=[OWN])
    for row in runs.itertuples():
        R = results.matrix(row.backbone, row.method, row.replicate, row.order).to_numpy()
        assert row.spread_of_tasks == pytest.approx(R[-1].max() - R[-1].min())
    assert runs.drop(columns=OWN.key).equals(metrics(results))


def test_a_metric_is_estimated_compared_and_judged_in_its_direction() -> None:
    runs = metrics(tiny_study(), extra=[OWN])
    means = runs.groupby("method")[OWN.key].mean()
    estimated = summary(runs, [OWN]).set_index(["method", "metric"])["mean"]
    assert estimated["replay", OWN.key] == pytest.approx(means["replay"])
    row = compare(runs, "finetune", extra=[OWN]).set_index("metric").loc[OWN.key]
    assert row["mean"] == pytest.approx(means["replay"] - means["finetune"])
    assert row["mean"] < 0
    assert row["verdict"] == "better"
    assert row["wins"] > row["runs"] / 2
    table = comparison(tiny_study(), extra=[OWN]).set_index("method")
    assert table.loc["replay", OWN.key] == pytest.approx(means["replay"])
    assert table.loc["replay", f"{OWN.key}_low"] < table.loc["replay", OWN.key]


def test_a_metric_needs_a_key_of_its_own() -> None:
    with pytest.raises(ValueError, match="metric 'bwt' already"):
        metrics(tiny_study(), extra=[Metric("bwt", "Mine", spread_of_tasks)])


def test_every_shipped_metric_says_how_it_is_computed() -> None:
    assert all(key == metric.key and metric.formula for key, metric in METRICS.items())


def test_a_metric_is_in_the_report(out: Path) -> None:
    html = Path(write_report(str(out), metrics=[OWN])).read_text()
    assert html.count("Spread &lt;of&gt; tasks&nbsp;&darr;") == 2  # all metrics, formulas
    assert "Maximum over i of R[T, i], minus its minimum." in html
    assert r"Spread \<of> tasks (down)" in (out / "report.md").read_text()
    assert OWN.key in pd.read_parquet(out / "tables" / "methods.parquet")
    assert OWN.key in set(pd.read_parquet(out / "tables" / "comparison.parquet")["metric"])


def test_a_panel_is_on_the_page_where_it_asks_to_stand(out: Path) -> None:
    html = Path(write_report(str(out), panels=[FinalByTask()])).read_text()
    sections = re.findall(r'<div id="(\w+)" class="panel', html)
    assert sections[sections.index("by_task") - 1] == "orders"
    assert "<h3>Final &lt;accuracy&gt;</h3>" in html
    assert 'a &lt; b. <a data-table="by_task" href="tables/by_task.parquet">data</a>' in html
    (content,) = re.findall(r'id="figures"[^>]*>(.*?)</script>', html)
    (bar,) = json.loads(content)["by_task"]["data"]
    written = pd.read_parquet(out / "tables" / "by_task.parquet")
    assert bar["x"] == written["method"].tolist() == ["ewc", "finetune"]


def test_without_a_wish_a_panel_stands_at_the_end() -> None:
    class Last(FinalByTask):
        after = ""

    assert [panel.key for panel in with_own([Last()])] == [*(p.key for p in PANELS), "by_task"]


def test_a_panel_that_cannot_be_placed_is_refused(out: Path) -> None:
    class Lost(FinalByTask):
        after = "nowhere"

    class Twice(FinalByTask):
        key = "orders"

    class Overwriting(FinalByTask):
        table = "runs"

    for panel, said in ((Lost(), "after 'nowhere'"), (Twice(), "panel 'orders' already")):
        with pytest.raises(ValueError, match=said):
            write_report(str(out), panels=[panel])
    with pytest.raises(ValueError, match="table 'runs' already"):
        write_report(str(out), panels=[Overwriting()])
    assert not (out / "report.html").exists()


def test_keys_of_panels_are_their_own() -> None:
    keys = [panel.key for panel in PANELS]
    assert len(set(keys)) == len(keys)
    assert all(panel.title for panel in PANELS)
    assert {panel.section for panel in PANELS} - {""} <= set(keys)
