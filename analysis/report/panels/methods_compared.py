"""The table of methods, and that of all metrics."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from analysis.orders.comparison import COMPARED
from analysis.report import html_parts
from analysis.report.html_tables import (
    Cell,
    bounded,
    estimate,
    heading,
    name,
    number,
    perhaps_none,
    table,
)
from analysis.report.panels.base import Panel
from analysis.report.report_frames import by_metric, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import interval
from analysis.run_metrics.metric import METRICS


class MethodsCompared(Panel):
    """Shows what every method reaches, how far orders move it, and what it costs."""

    key, title, table = "methods", "Methods compared", "methods"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns every method on one line."""
        return study.methods_table

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how to read the table."""
        return "Mean over orders with its interval below; a click on a heading sorts."

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns both tables, the second one to be opened."""
        caption = (
            f"Unit: fraction; {report_text.sample(study)}. SD over orders: of one seed; "
            "over seeds: what replicate means differ by beyond the orders they drew, < where it "
            "is not distinguishable from 0. Range of 5 orders: expected, of one seed. Worst "
            "tenth: mean of the worst tenth of the runs. Training time: of a run without sharing, "
            f"relative to {study.baseline_called or 'no other'}{report_text.of_its_study(study)}. "
            "Verdicts: see Paired differences."
        )
        noted = "".join(f'<p class="note">{escape(note)}</p>' for note in report_text.notes(study))
        every = all_metrics(study)
        every += html_parts.caption(report_text.sample(study), "summary")
        shown = method_table(frame, study) + html_parts.caption(caption, self.table)
        return shown + noted + html_parts.details("All metrics", every)


def method_table(frame: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns one row per method."""
    known = [metric for metric in COMPARED if frame[metric].notna().any()]
    robust = study.robustness.set_index(["backbone", "method"])
    # A method without a score on one of its tasks has no average accuracy: its cells are empty.
    robust = robust.reindex(pd.MultiIndex.from_frame(frame[["backbone", "method"]]))
    head = [
        "method",
        heading(study.metrics["average_accuracy"]),
        f"vs {escape(study.baseline_called)}",
    ]
    head += ["SD over orders", "SD over seeds", "range of 5 orders", "worst tenth"]
    head += [heading(study.metrics[metric]) for metric in known[1:]]
    costs = bool(frame["cost"].notna().any())
    head += ["training time"] * costs + ["runs"]
    lines, best = [], best_of(frame, known, study)
    for row in rows(frame):
        spread = robust.loc[(row.backbone, row.method)]
        compared = by_metric(study.judged, row.backbone, row.method).get("average_accuracy")
        cells = [
            with_best(bounded(row, "average_accuracy"), row, "average_accuracy", best),
            verdict_cell(compared),
        ]
        cells += [
            bounded(row, "order_sd"),
            perhaps_none(spread, "seed_sd"),
            bounded(spread, "range_5"),
        ]
        cells.append(number(spread["bad_order_average"]))
        cells += [with_best(bounded(row, metric), row, metric, best) for metric in known[1:]]
        cells += [bounded(row, "cost", 2)] * costs
        lines.append([name(study, row.backbone, row.method), *cells, number(row.runs)])
    return table("Methods compared", head, lines, sortable=True)


def best_of(
    frame: pd.DataFrame, metrics: Sequence[str], study: StudyStatistics
) -> dict[tuple[str, str, str], float]:
    """Returns, by backbone, method and metric, the best value of contenders on equal terms."""
    found: dict[tuple[str, str, str], float] = {}
    for kind in study.terms:
        competing = frame[frame["method"].isin(kind)]
        for backbone, part in competing.groupby("backbone"):
            for metric in metrics:
                higher = METRICS[metric].higher_is_better
                best = part[metric].max() if higher else part[metric].min()
                found |= {(str(backbone), method, metric): best for method in kind}
    return found


def with_best(
    cell: Cell, row: Any, metric: str, best: Mapping[tuple[str, str, str], float]
) -> Cell:
    """Returns a cell, marked if its value is the best of those on equal terms."""
    is_best = getattr(row, metric) == best.get((row.backbone, row.method, metric))
    return cell._replace(css="best") if is_best else cell


def verdict_cell(compared: Any) -> Cell:
    """Returns how a method compares with the baseline, in a word; the baseline has none."""
    if compared is None:
        return Cell("&ndash;", css="text")
    note = interval(compared.mean, compared.low, compared.high, "+")
    word = compared.word
    return Cell(
        f'<span class="verdict {word.split()[0]}" title="{note}">{word}</span>', word, "text"
    )


def all_metrics(study: StudyStatistics) -> str:
    """Returns every metric of every method, one row per metric."""
    head = ["metric", *(name(study, *pair).html for pair in study.groups)]
    by_group = [by_metric(study.summary, *pair) for pair in study.groups]
    lines = [
        [Cell(heading(metric), key), *(estimate(found.get(key)) for found in by_group)]
        for key, metric in study.metrics.items()
        if any(key in found for found in by_group)
    ]
    return table("All metrics", head, lines)
