"""Failed stages, scores that are NaN and tasks never measured, from the results to the page."""

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis import load, write_report
from analysis.data.results import Results
from analysis.report.study_statistics import StudyStatistics
from tests.analysis.synthetic import (
    World,
    failed_row,
    random_orders,
    read_rows,
    write_rows,
    write_study,
)
from tests.analysis.test_report_page import Page

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 3)


def changed(out: Path, kind: str, value: float = float("nan")) -> Results:
    """Results in memory; failed stages hold the given value."""
    write_study(out, ORDERS, World(tasks=TASKS))
    rows = read_rows(out)
    if kind == "failed":  # a stage of every replicate of ewc, and a score of one run of lora
        broken = [tuple(block[0]) for block in ORDERS]
        rows = [r for r in rows if not (r["method"] == "ewc" and tuple(r["prefix"]) in broken)]
        for replicate, prefix in enumerate(broken):
            head = {"study": "synthetic", "backbone": "tiny-clip", "method": "ewc"}
            head |= {"replicate": replicate, "seed": 1000 + 17 * replicate}
            rows.append(failed_row(head, prefix, "CUDA out of memory") | {"value": value})
        for row in rows:
            if (row["method"], row["replicate"], row.get("eval_task")) == ("lora", 1, "a"):
                row["value"] = float("nan") if tuple(row["prefix"]) == broken[1] else row["value"]
    else:
        methods = {"replay"} if kind == "unmeasured in a method" else {r["method"] for r in rows}
        rows = [r for r in rows if r["method"] not in methods or r["eval_task"] != "c"]
    write_rows(out, rows)
    known = load(str(out))
    return Results(known.stages, known.orders)


@pytest.mark.parametrize("kind", ["failed", "unmeasured in a method", "unmeasured"])
def test_no_nan_is_printed(kind: str, tmp_path: Path) -> None:
    path = Path(write_report(changed(tmp_path / "study", kind), out=str(tmp_path / "page")))
    text = " ".join(Page(path.read_text()).text.split())
    markdown = (path.parent / "report.md").read_text()
    for said in (text, markdown):
        assert not re.search(r"\bnan\b", said, re.IGNORECASE)
    if kind == "failed":
        assert "CUDA out of memory" in text
        assert "ewc: no replicate is complete" in text
    if kind == "unmeasured":
        assert "No run has a score on each of its tasks" in text


def test_what_a_failed_stage_holds_counts_for_nothing(tmp_path: Path) -> None:
    missing, zero = (
        StudyStatistics(changed(tmp_path / str(value), "failed", value))
        for value in (float("nan"), 0.0)
    )
    for name, table in missing.tables.items():
        if name != "failures":
            pd.testing.assert_frame_equal(table, zero.tables[name])
    pd.testing.assert_frame_equal(missing.contribution_table, zero.contribution_table)
    failed = missing.summary[missing.summary["method"] == "ewc"]
    assert failed["low"].isna().all()
    assert (failed["min"] > 0).any()


def test_a_run_without_an_average_accuracy_is_not_the_best(tmp_path: Path) -> None:
    study = StudyStatistics(changed(tmp_path, "failed"))
    assert study.runs["average_accuracy"].isna().any()
    assert study.extremes["average_accuracy"].notna().all()
    assert study.dots(study.runs)["average_accuracy"].notna().all()
