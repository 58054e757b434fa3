"""Which contributions of tasks are robust, and which the order decides."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, decimals, empty_figure, many, present, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import NOTHING, interval, plural


class RobustContributions(Panel):
    """Shows the mean contribution against its SD over orders, a dot per pair of tasks."""

    key, title, table = "robustness", "Which contributions are robust", "contributions"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the gain contributions of all pairs of tasks."""
        return study.contributions

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the corners of the figure mean."""
        if not len(effects_on_others(frame)):
            return f"Learning a task changes the {study.words.noun} on no other."
        return (
            "Which effects of one task on another does every order show? Low and right: it helps "
            "whatever the order; low and left: it harms; above the dotted lines the order moves it "
            "more than its mean."
        )

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether learning a task changes the accuracy on any other."""
        return len(effects_on_others(frame)) > 0

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure | None:
        """Returns a scatter plot with three regions; None where nothing changes another task."""
        if not len(effects_on_others(frame)):
            return None
        figure = empty_figure(height=460)
        looks, pairs = study.looks, effects_on_others(frame)
        for backbone, method in present(pairs, study.groups):
            part = group(pairs, backbone, method)
            figure.add_scatter(
                x=part["mean"],
                y=part["order_sd"],
                mode="markers",
                name=study.looks.label(backbone, method, many(frame)),
                marker=looks.marker(method, backbone, 8),
                text=[pair_fact(row, study.words.noun) for row in rows(part)],
                hovertemplate="%{text}<extra></extra>",
            )
        left, right = (
            1.08 * float(side * max((side * pairs["mean"]).max(), 0.02)) for side in (-1, 1)
        )
        reach = max(-left, right)
        top = 1.15 * float(max(pairs["order_sd"].max(), 1e-3))
        for side in (-1, 1):
            figure.add_scatter(
                x=[0, side * reach], y=[0, reach], mode="lines", showlegend=False, hoverinfo="skip",
                line={"color": INK, "width": 1, "dash": "dot"},
            )  # fmt: skip
        # A corner is named where it is large enough for its name.
        middle = min(max(0, left + 0.25 * (right - left)), right - 0.25 * (right - left))
        for x, y, note in (
            (left, 0, "reliable harm"),
            (right, 0, "reliable help"),
            (middle, top, "the order decides"),
        ):
            if y or abs(x) > 0.3 * reach:
                figure.add_annotation(
                    x=x, y=y, text=note, showarrow=False, font={"color": INK},
                    xanchor="center" if y else "left" if x < 0 else "right",
                    yanchor="top" if y else "bottom",
                )  # fmt: skip
        figure.update_xaxes(title="mean effect on the other task", range=[left, right])
        figure.update_xaxes(tickformat=decimals([left, right]))
        figure.update_yaxes(title="SD over orders", range=[0, top], tickformat=decimals([0, top]))
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how many effects are larger than what the order does to them."""
        pairs = effects_on_others(frame)
        is_reliable = pairs["mean"].abs() > pairs["order_sd"]
        helps, harms = ((is_reliable & (side * pairs["mean"] > 0)).sum() for side in (1, -1))
        return (
            f"Of {plural(len(pairs), 'effect')} of one task on another, {helps or 'none'} reliably "
            f"{'helps' if helps < 2 else 'help'} and {harms or 'none'} reliably "
            f"{'harms' if harms < 2 else 'harm'}; in the other {len(pairs) - helps - harms} the "
            "order decides."
        )

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: fraction; {report_text.sample(study)}, of the mean (hover). Dot: one "
            f"task's effect on another, with a method that has any.{study.looks.note}"
        )


def effects_on_others(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the contributions to other tasks, without methods in which there is none."""
    pairs = frame[frame["trained"] != frame["task"]]
    largest = pairs.groupby(["backbone", "method"])["mean"].transform(lambda x: x.abs().max())
    spread = pairs.groupby(["backbone", "method"])["order_sd"].transform("max")
    return pairs[(largest >= NOTHING) | (spread >= NOTHING)]


def pair_fact(row: Any, noun: str) -> str:
    """Returns what is known of one task's effect on another, for its hover."""
    if row.trained == row.task:
        sides = ""
    else:
        sides = f"<br>before it {row.before:z.3f} (transfer), after it {row.after:z.3f}"
    return (
        f"learning {text(row.trained)}, {noun} on {text(row.task)}:<br>"
        f"{interval(row.mean, row.low, row.high)}, SD over orders {row.order_sd:.3f}{sides}<br>"
        f"helps minus harms {row.sign:+.0%} of {row.runs} runs, worst twentieth {row.q05:z.3f}"
    )
