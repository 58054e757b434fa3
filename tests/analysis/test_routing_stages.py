"""Shares of answers that come from tasks learnt, against sums by hand."""

from pathlib import Path

import numpy as np
import pytest

from analysis import load, metrics
from analysis.mechanisms.routing_stages import routing_stages
from analysis.report.panels.routing_curves import RoutingCurves
from analysis.report.study_statistics import StudyStatistics
from tests.analysis.routing_rows import write_routing
from tests.analysis.synthetic import World, random_orders, write_study

TASKS, PROBES = ("a", "b", "c"), ("digits", "suite")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routing")
    write_study(folder, random_orders(TASKS, 4, 3), World(tasks=TASKS))
    write_routing(folder, (*TASKS, *PROBES), "replay")
    return folder


def test_shares_are_means_over_tasks_and_replicates(out: Path) -> None:
    results = load(out)
    runs = metrics(results)
    table = routing_stages(results, runs)
    assert set(table["method"]) == {"replay"}
    found = table.set_index(["samples", "stage"])
    rows = results.stages[results.stages["split"] == "routing"]
    known = {
        (row.replicate, row.prefix, row.eval_task, row.metric): row.value
        for row in rows.itertuples()
    }
    expected: dict[tuple[str, int], dict[int, list[float]]] = {}
    mine = runs[runs["method"] == "replay"]
    for replicate, order in zip(mine["replicate"], mine["order"], strict=True):
        for stage in range(1, len(TASKS) + 1):
            learnt, left = order[:stage], order[stage:]
            shares = {
                name: {task: known[replicate, learnt, name, task] for task in learnt}
                for name in (*TASKS, *PROBES)
            }
            values = {
                "own": [shares[task][task] for task in learnt],
                "others": [sum(shares[t].values()) - shares[t][t] for t in learnt],
                "unlearnt": [sum(shares[task].values()) for task in left],
                "probes": [sum(shares[name].values()) for name in PROBES],
            }
            for samples, each in values.items():
                if each:
                    of = expected.setdefault((samples, stage), {})
                    of.setdefault(replicate, []).append(float(np.mean(each)))
    assert set(found.index) == set(expected)
    for key, by_replicate in expected.items():
        means = [np.mean(values) for values in by_replicate.values()]
        assert found.loc[key, "mean"] == pytest.approx(np.mean(means)), key
        assert found.loc[key, "runs"] == len(mine)
        if key != ("others", 1):  # there are none yet
            assert found.loc[key, "low"] < found.loc[key, "mean"] < found.loc[key, "high"]


def test_the_report_says_what_is_taken_for_what(out: Path) -> None:
    study, panel = StudyStatistics(load(out)), RoutingCurves()
    frame = panel.frame(study)
    said = panel.finding(frame, study)
    last = frame[frame["stage"] == 3].set_index("samples")["mean"]
    assert said.startswith("After 3 tasks: With replay ")
    assert f"{last['own']:.3f} [" in said
    assert f"{last['probes']:.3f} [" in said
    figure = panel.draw(frame, study)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["replay"]
    assert len(figure.data) == len(panel.kinds)
    assert list(figure.data[1].x) == [1, 2]  # after the last task none is left to be learnt


def test_without_the_diagnostic_there_is_nothing(tmp_path: Path) -> None:
    write_study(tmp_path, random_orders(TASKS, 4, 3), World(tasks=TASKS))
    results = load(tmp_path)
    assert routing_stages(results, metrics(results)).empty
