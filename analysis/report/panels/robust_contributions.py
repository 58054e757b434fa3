"""Which contributions of tasks are robust, and which the order decides."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.report import report_text
from analysis.report.figure_style import INK, Looks, empty_figure, label, many, present, text
from analysis.report.panels.base import Panel
from analysis.report.phrases import interval
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics


class RobustContributions(Panel):
    """Shows the mean contribution against its SD over orders, a dot per pair of tasks."""

    key, title, table = "robustness", "Which contributions are robust", "contributions"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the gain contributions of all pairs of tasks."""
        return study.contributions

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the corners of the figure mean."""
        return (
            "A dot is one task's effect on another. Low and right: it helps whatever the order; "
            "low and left: it harms; above the dotted lines the order moves it more than its mean."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a scatter plot with three regions."""
        figure = empty_figure(height=460)
        looks = Looks(method for _, method in study.groups)
        pairs = frame[frame["trained"] != frame["task"]]
        for backbone, method in present(pairs, study.groups):
            part = group(pairs, backbone, method)
            figure.add_scatter(
                x=part["mean"],
                y=part["order_sd"],
                mode="markers",
                name=label(backbone, method, many(frame)),
                marker={"color": looks.colour(method), "symbol": looks.symbol(method), "size": 8},
                text=[pair_fact(row) for row in rows(part)],
                hovertemplate="%{text}<extra></extra>",
            )
        reach = 1.08 * float(max(pairs["mean"].abs().max(), 1e-3))
        top = 1.15 * float(max(pairs["order_sd"].max(), 1e-3))
        for side in (-1, 1):
            figure.add_scatter(
                x=[0, side * reach], y=[0, reach], mode="lines", showlegend=False, hoverinfo="skip",
                line={"color": INK, "width": 1, "dash": "dot"},
            )  # fmt: skip
        for x, y, note in (
            (-reach, 0.02 * top, "reliable harm"),
            (reach, 0.02 * top, "reliable help"),
            (0, 0.97 * top, "the order decides"),
        ):
            figure.add_annotation(
                x=x, y=y, text=note, showarrow=False, font={"color": INK},
                xanchor="left" if x < 0 else "right" if x else "center",
            )  # fmt: skip
        figure.update_xaxes(title="mean contribution to the other task", range=[-reach, reach])
        figure.update_yaxes(title="SD over orders", range=[0, top])
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return f"Unit: fraction; {report_text.sample(study.summary)}, of the mean (hover)."


def pair_fact(row: Any) -> str:
    """Returns what is known of one task's effect on another, for its hover."""
    if row.trained == row.task:
        sides = ""
    else:
        sides = f"<br>before it {row.before:z.3f} (transfer), after it {row.after:z.3f}"
    return (
        f"learning {text(row.trained)}, accuracy on {text(row.task)}:<br>"
        f"{interval(row.mean, row.low, row.high)}, SD over orders {row.order_sd:.3f}{sides}<br>"
        f"helps minus harms {row.sign:+.0%} of {row.runs} runs, worst twentieth {row.q05:z.3f}"
    )
