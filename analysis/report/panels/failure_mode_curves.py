"""Failure modes, stage by stage."""

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.failure_modes import MEASURES, failure_modes
from analysis.report import report_text
from analysis.report.figure_style import Looks, label, many, present, small_multiples, text
from analysis.report.panels.base import Panel
from analysis.report.phrases import interval
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics


class FailureModeCurves(Panel):
    """Shows every measure of a failure mode over the stages, one plot per measure."""

    key, title, table = "modes", "Failure modes", "failure_modes"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what goes wrong, mode by mode and stage by stage."""
        return failure_modes(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the questions."""
        return (
            "Do image and text features drift apart, do tasks interfere, does zero-shot ability "
            "erode? Every failure mode has measures of its own."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method."""
        measures = [name for name in MEASURES if name in set(frame["measure"])]
        titles = [MEASURES[name].label for name in measures]
        figure, places = small_multiples(titles, row=210, head=90, gap=62, horizontal_spacing=0.07)
        looks = Looks(method for _, method in study.groups)
        for backbone, method in present(frame, study.groups):
            part = group(frame, backbone, method)
            for place, name in enumerate(measures):
                mine = part[part["measure"] == name]
                bounds = [interval(row.mean, row.low, row.high) for row in rows(mine)]
                figure.add_scatter(
                    x=mine["stage"], y=mine["mean"], mode="lines+markers",
                    name=label(backbone, method, many(frame)), legendgroup=f"{backbone} {method}",
                    showlegend=place == 0, **places[place],
                    line={"color": looks.colour(method), "width": 1.5},
                    marker={"symbol": looks.symbol(method), "size": 6},
                    text=bounds, customdata=mine[["order_sd", "runs"]].to_numpy(),
                    hovertemplate="stage %{x}: %{text}<br>SD over orders %{customdata[0]:.3f}, "
                    f"%{{customdata[1]}} runs<extra>{text(method)}</extra>",
                )  # fmt: skip
        figure.update_xaxes(dtick=1)
        figure.update_yaxes(tickformat=".2f")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the formulas of the measures shown."""
        there = [name for name in MEASURES if name in set(frame["measure"])]
        formulas = "; ".join(f"{MEASURES[name].label}: {MEASURES[name].formula}" for name in there)
        return (
            f"Unit: cosine, distance of unit vectors or fraction, by stage; "
            f"{report_text.sample(study.summary)} (hover). {formulas}."
        )
