"""Whether orders of similar neighbours end better or worse."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import empty_figure, many, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import interval, listed


class SimilarNeighbours(Panel):
    """Shows average accuracy against the similarity of neighbours, by the study's first measure."""

    key, title, table = "similarity", "Similar neighbours", "similarity"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what similarity does; nothing for a study that has not measured it."""
        measured = len(study.adjacencies) and len(study.similarity_pairs)
        return study.similarity if measured else study.similarity.iloc[:0]

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what left and right are."""
        return (
            "Do orders whose neighbours are alike, as the untouched backbone sees the tasks, end "
            "better or worse?"
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the slopes of the measure shown."""
        measure = study.adjacencies["measure"].iloc[0]
        known = frame[(frame["measure"] == measure) & frame["low"].notna()]
        if known.empty:
            return (
                "Whether similar neighbours help cannot be said: it takes two replicates, and more "
                "runs than first and last tasks."
            )
        slopes = [f"{study.called(row.backbone, row.method)} {_slope(row)}" for row in rows(known)]
        noun = study.words.noun
        return f"Per SD of more similar neighbours, average {noun} changes: {listed(slopes)}."

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns the runs of methods that the order moves, with their regression lines."""
        runs, scores = study.dots(study.runs), study.adjacencies
        figure = empty_figure(height=460)
        looks, measure = study.looks, scores["measure"].iloc[0]
        for backbone, method in study.moved_groups:
            part = group(runs, backbone, method)
            mine = scores[(scores["backbone"] == backbone) & (scores["measure"] == measure)]
            x = part["order"].map(mine.set_index("order")["value"])
            name = study.looks.label(backbone, method, many(runs))
            figure.add_scatter(
                x=x, y=part["average_accuracy"], mode="markers", name=name, legendgroup=name,
                marker=looks.marker(method, backbone) | {"opacity": 0.7},
                customdata=list(part["place"]), meta="runs",
                hovertemplate="similarity %{x:.3f}, "
                f"average {study.words.noun} %{{y:.3f}}<br>%{{text}}"
                "<extra></extra>",
            )  # fmt: skip
            slope = group(frame[frame["measure"] == measure], backbone, method)
            if len(slope) and np.isfinite(slope["slope"].iloc[0]):
                (row,) = rows(slope)
                per_unit = row.slope / row.sd
                ends = np.array([x.min(), x.max()])
                figure.add_scatter(
                    x=ends, y=part["average_accuracy"].mean() + per_unit * (ends - x.mean()),
                    mode="lines", line=looks.line(method, 2),
                    legendgroup=name, showlegend=False, hoverinfo="text",
                    hovertext=f"{name}: {_slope(row)} per SD of similarity",
                )  # fmt: skip
        figure.update_xaxes(title=f"mean similarity of neighbours ({text(measure)})")
        figure.update_yaxes(title=f"average {study.words.noun}", tickformat=".2f")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what dot and line are."""
        replicates = frame["replicates"].max()
        kind = (
            f"line: least squares inside replicates, first and last task held; its slope per SD of "
            f"similarity with a 95 % jackknife interval over {replicates:.0f} replicates, which is "
            "about these tasks; p: the share of permutations of the tasks with which similarity "
            "explains as much, not corrected for several methods (hover)"
            if np.isfinite(replicates)
            else "no line and no interval (they need two complete replicates, and more runs than "
            "first and last tasks in all but one)"
        )
        runs = int(study.similarity_pairs["runs"].max())
        return (
            f"Unit: fraction against similarity, {measured_by(study)} Dot: one run, n = {runs} "
            f"per method; {kind}.{report_text.left_out(study)}"
        )


def _slope(row: Any) -> str:
    known = f" (p {row.p_slope:.3f})" if np.isfinite(row.p_slope) else ""
    return interval(row.slope, row.low, row.high, "+") + known


def measured_by(study: StudyStatistics) -> str:
    """Returns which measure of similarity is shown, and how many are not."""
    measures = study.adjacencies["measure"]
    others = measures.nunique() - 1
    several = f" {others} more in the data." if others else ""
    return f"measure {measures.iloc[0]}.{several}"
