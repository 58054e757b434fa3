"""A panel of the report: what accuracy costs, in seconds of training.

Prabhu et al., "Computationally budgeted continual learning: what does matter?" (CVPR 2023, arXiv
2303.11165): at an equal budget, costly methods often lose to plain ones.
"""

import pandas as pd
import plotly.graph_objects as go

from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics


class AccuracyPerSecond(Panel):
    """Shows the mean accuracy of every method against the time that a run of it trains."""

    key, title, table, after = "price", "What does accuracy cost?", "price", "orders"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns a row per backbone and method."""
        groups = study.runs.groupby(["backbone", "method"], as_index=False)
        return groups[["average_accuracy", "train_seconds"]].mean().dropna()

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how to read the figure."""
        return "Up is better, left is cheaper."

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns one point per method."""
        figure = go.Figure()
        figure.add_scatter(
            x=frame["train_seconds"],
            y=frame["average_accuracy"],
            text=frame["method"],
            mode="markers+text",
            textposition="top center",
        )
        figure.update_xaxes(title="seconds of training of a run, as if trained by itself")
        figure.update_yaxes(title="average accuracy")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what a point is."""
        return f"Unit: fraction; means of {len(study.runs)} runs, no interval."
