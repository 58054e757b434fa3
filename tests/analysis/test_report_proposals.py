"""The part of the report on predictions, and when it is left out."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load, write_report
from analysis.report.panels.proposed_orders import ProposedOrders
from analysis.report.study_statistics import StudyStatistics
from tests.analysis.synthetic import METHODS, World, write_similarity, write_study

TASKS = ("a", "b", "c", "d")
PANEL = ProposedOrders()
EVERY = [list(permutations(TASKS))] * 2


@pytest.fixture
def study(tmp_path: Path) -> StudyStatistics:
    rng = np.random.default_rng(0)
    similar = {name: rng.random((4, 4)) for name in ("<near>", "far")}
    methods = {name: METHODS[name] for name in ("ewc", "zero_shot")}
    write_study(tmp_path, EVERY, World(tasks=TASKS), methods)
    write_similarity(tmp_path, similar, EVERY, TASKS)
    return StudyStatistics(load(str(tmp_path)))


def test_dots_are_the_shares_of_the_table(study: StudyStatistics) -> None:
    """A dot per measure, of methods that the order moves."""
    found = PANEL.frame(study)
    easiest = found[found["proposal"] == "easiest"]
    (trace,) = PANEL.draw(found, study).data
    assert trace.name == "ewc"
    assert list(trace.x) == easiest["better"].tolist()
    assert list(trace.y) == ["&lt;near&gt;", "far"]
    for row, about in zip(easiest.itertuples(), trace.text, strict=True):
        assert " > ".join(row.order) in about
        assert f"{row.value:.3f}" in about


def test_the_table_quotes_proposals_both_ways(study: StudyStatistics) -> None:
    found = PANEL.frame(study)
    html = PANEL.below(found, study)
    assert html.count("<tr>") == 1 + 4
    assert "<near>" not in html
    assert "hardest" in html
    for row in found.itertuples():
        assert f'data-value="{row.regret}"' in html
    assert "2 replicates" in PANEL.caption(found, study)


def test_the_frame_is_written_beside_the_report(study: StudyStatistics, tmp_path: Path) -> None:
    write_report(str(tmp_path))
    found = pd.read_parquet(tmp_path / "tables" / "regret.parquet")
    assert found["regret"].tolist() == PANEL.frame(study)["regret"].tolist()


def test_a_study_without_all_orders_says_nothing(tmp_path: Path) -> None:
    some = [EVERY[0][:-1]] * 2
    write_study(tmp_path, some, World(tasks=TASKS), {"ewc": METHODS["ewc"]})
    write_similarity(tmp_path, {"near": np.eye(4)}, some, TASKS)
    assert PANEL.frame(StudyStatistics(load(str(tmp_path)))).empty
