"""What of an order matters to how a run ends."""

import pandas as pd
import plotly.graph_objects as go

from analysis.orders.order_models import order_models
from analysis.report.figure_style import COLOURS, empty_figure, label, many, present, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics


class OrderModelBars(Panel):
    """Shows the out-of-sample R2 of every model of the order, a group of bars per method."""

    key, title, table = "models", "What about the order matters", "order_models"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the fitted models."""
        return order_models(study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the models are."""
        return (
            "Does it matter which task comes before which (precedence), which place a task takes "
            "(position), or which task follows which (adjacency)? Each replicate is predicted by a "
            "model of the others; 0 = no better than the mean. Hover for the order that a model "
            "calls best or worst."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns bars."""
        groups = present(frame, study.groups)
        figure = empty_figure(height=110 + 62 * len(groups), barmode="group")
        for i, model in enumerate(dict.fromkeys(frame["model"])):
            shown = pd.concat([group(frame, *pair) for pair in groups])
            shown = shown[shown["model"] == model]
            figure.add_bar(
                y=[label(row.backbone, row.method, many(frame), "<br>") for row in rows(shown)],
                x=shown["r2"].clip(lower=-0.1),
                orientation="h",
                name=model,
                marker={"color": COLOURS[i % len(COLOURS)]},
                text=[f"best: {_path(row.best_order)}<br>worst: {_path(row.worst_order)}"
                      for row in rows(shown)],
                textposition="none",
                customdata=shown["r2"],
                hovertemplate=f"{model}: R2 %{{customdata:.3f}}<br>predicted %{{text}}"
                "<extra></extra>",
            )  # fmt: skip
        figure.update_xaxes(title="share of the variance explained", tickformat=".0%")
        figure.update_yaxes(autorange="reversed")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            "Unit: R2 of the average accuracy inside replicates; "
            f"n = {frame['runs'].max()} runs per method; no interval. Bars end at -10 %."
        )


def _path(order: tuple[str, ...] | None) -> str:
    return " > ".join(text(task, 16) for task in order) if order else "not searched"
