"""Which places methods take on the same order and replicate."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.orders.ranking import rank_shares
from analysis.report.figure_style import INK, empty_figure, many
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import listed, plural


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
        strengths = np.linspace(1, 0.12, int(frame["rank"].max()))
        for (rank, part), strength in zip(frame.groupby("rank"), strengths, strict=True):
            figure.add_bar(
                y=[study.looks.tick(row.backbone, row.method, several) for row in rows(part)],
                x=part["share"], orientation="h", name=f"place {rank}",
                marker={"color": INK, "line": {"width": 0}}, opacity=strength,
                customdata=part[["mean_rank", "runs"]].to_numpy(),
                hovertemplate=f"place {rank} in %{{x:.1%}} of %{{customdata[1]}} runs, mean place "
                "%{customdata[0]:.2f}<extra></extra>",
            )  # fmt: skip
        figure.update_xaxes(tickformat=".0%", range=[0, 1.001], title="share of the runs")
        figure.update_xaxes(showgrid=False)
        figure.update_yaxes(autorange="reversed")
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how often which method comes first."""
        first = frame[(frame["rank"] == 1) & (frame["share"] > 0)]
        said = []
        for backbone, part in first.groupby("backbone"):
            shares = [
                f"{study.looks.called(row.method)} in {row.share:.0%}"
                for row in rows(part.sort_values("share", ascending=False, kind="stable"))
            ]
            on = f" on {backbone}" if many(frame) else ""
            runs = plural(int(part["runs"].iloc[0]), "run")
            said.append(f"Of {runs}{on}, first comes {listed(shares)}")
        return f"{'. '.join(said)}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: share of runs; n = {plural(int(frame['runs'].max()), 'run')} per method, no "
            "interval. Methods that are equal share the places that they take together; best mean "
            "place on top; the stronger the bar, the better the place."
            f"{study.looks.note}{report_text.ranked_together(study)}{report_text.counted(study)}"
        )
