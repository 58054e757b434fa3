"""Which places methods take on the same order and replicate."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from analysis.orders.ranking import rank_shares
from analysis.report import report_text
from analysis.report.figure_style import SCALE, empty_figure, label, many
from analysis.report.panels.base import Panel
from analysis.report.phrases import plural
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics


class MethodPlaces(Panel):
    """Shows how often every method takes which place; a stacked bar per method.

    A bump chart would say the same of a handful of orders, and nothing of hundreds.
    """

    key, title, table = "ranks", "Places over orders", "ranks"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the shares of places."""
        return rank_shares(study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "Which method comes first, which second, and so on, on the same order and replicate?"

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns bars, best places left."""
        several, methods = many(frame), frame[["backbone", "method"]].drop_duplicates()
        figure = empty_figure(height=120 + 40 * len(methods))
        figure.update_layout(barmode="stack", legend={"traceorder": "normal"}, showlegend=True)
        places = int(frame["rank"].max())
        colours = sample_colorscale(SCALE, np.linspace(0.95, 0.05, places))
        for (rank, part), colour in zip(frame.groupby("rank"), colours, strict=True):
            figure.add_bar(
                y=[label(row.backbone, row.method, several, "<br>") for row in rows(part)],
                x=part["share"], orientation="h", name=f"place {rank}",
                marker={"color": colour},
                customdata=part[["mean_rank", "runs"]].to_numpy(),
                hovertemplate=f"place {rank} in %{{x:.1%}} of %{{customdata[1]}} runs, mean place "
                "%{customdata[0]:.2f}<extra></extra>",
            )  # fmt: skip
        figure.update_xaxes(tickformat=".0%", range=[0, 1.001], title="share of the runs")
        figure.update_yaxes(autorange="reversed")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: share of runs; n = {plural(int(frame['runs'].max()), 'run')} per method, no "
            "interval. Methods that are equal share the places that they take together; best mean "
            f"place on top.{report_text.counted(study)}"
        )
