"""The distribution of average accuracy over orders, and how steady methods are."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.orders.steadiness import FEW
from analysis.report import html_parts
from analysis.report.figure_style import many
from analysis.report.html_tables import Cell, bounded, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import of_pairs, rows
from analysis.report.run_clouds import MIN_DENSITY, clouds, rows_of
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import interval


class AccuracyOverOrders(Panel):
    """Shows the average accuracy of every run, one row per method, with mean and interval."""

    key, title, table = "orders", "Average accuracy over orders", "runs"

    def heading(self, study: StudyStatistics) -> str:
        """Returns the heading."""
        return f"Average {study.words.noun} over orders"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns all runs."""
        return study.runs

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what to look at."""
        return "How much does what a method reaches depend on the order of the tasks?"

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns clouds of dots."""
        title = f"average {study.words.noun} after the last task"
        figure = rows_of(study.groups, title, many(frame), study.looks)
        return clouds(
            figure, study.dots(frame), study.summary, study.groups, study.looks, study.words.noun
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which method the order moves most, and which least."""
        moving = list(rows(of_pairs(study.robustness, study.moved)))
        if not moving:
            return "No method ends differently with another order of the same seed."
        moving = [row for row in moving if np.isfinite(row.order_sd)]
        if not moving:
            return "How far orders move a method takes a complete replicate; there is none."
        moving.sort(key=lambda row: -row.order_sd)
        said = f"The order moves {_moved(study, moving[0])}"
        if len(moving) > 1:
            said = said.replace("The order moves", "The order moves most", 1)
            said += f"; least, {_moved(study, moving[-1])}"
        still = f"; it does not move {study.looks.listed(study.unmoved)}" if study.unmoved else ""
        return f"{said}{still}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what a dot is."""
        return (
            f"Unit: fraction; {report_text.sample(study)}. {study.dot} Diamond and bar: "
            f"mean and interval. Curve: density, for {MIN_DENSITY} runs or more, of methods that "
            f"the order moves.{study.looks.note}"
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of steadiness."""
        if study.steadiness.empty:
            return ""
        return steadiness_table(study) + html_parts.caption(
            "Ratio of SDs over orders, geometric mean over replicates, with its 95 % interval, "
            "widened for the number of methods (Holm); p: of a ratio of 1, Holm. "
            f"What {FEW} orders of one seed show: 95 % of their choices; "
            "reversed: choices in which the other of the two methods looks steadier. Not "
            "listed: methods that no order moves.",
            "steadiness",
        )


def _moved(study: StudyStatistics, row: Any) -> str:
    sd = interval(row.order_sd, row.order_sd_low, row.order_sd_high)
    name = study.called(row.backbone, row.method)
    return f"{name} (runs from {row.worst:.3f} to {row.best:.3f}, SD over orders {sd})"


def steadiness_table(study: StudyStatistics) -> str:
    """Returns the spread over orders of every method, relative to the baseline's."""
    found = study.steadiness
    shown = found.assign(ratio_low=found["holm_low"], ratio_high=found["holm_high"])
    lines = [
        [
            name(study, row.backbone, row.method),
            bounded(row, "ratio", 2),
            number(row.p_holm),
            Cell(f"{row.few_low:.2f} to {row.few_high:.2f}", str(row.few_high)),
            Cell(f"{row.reversed:.0%}", str(row.reversed)),
        ]
        for row in rows(shown.sort_values(["backbone", "ratio", "method"]))
    ]
    head = ["method", f"SD over orders, {escape(study.baseline_called)} = 1", "p (Holm)"]
    head += [f"what {FEW} orders show", "reversed"]
    return table("SD over orders against the baseline", head, lines, True)
