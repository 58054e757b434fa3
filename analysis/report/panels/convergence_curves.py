"""What was known after every replicate."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.confidence_sequences import FIRST_LOOK, block_means, convergence
from analysis.report.figure_style import INK, Looks, many, present, small_multiples, steps
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import plural
from analysis.run_metrics.metric import METRICS

FIRST_SHOWN = 3
"""Replicates from which an interval is drawn; that of two is four times as wide."""


class ConvergenceCurves(Panel):
    """Shows the mean of every method with its intervals after every replicate."""

    key, title, table = "convergence", "Convergence", "convergence"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what was known when; nothing for a single replicate."""
        metric = "average_accuracy"
        found = convergence(block_means(study.runs, metric), METRICS[metric].limits)
        return found if (found["replicates"] > 1).any() else found.iloc[:0]

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question, and what bars and lines are."""
        return (
            "What would have been known with fewer replicates? The bars are right for a number "
            "fixed beforehand; the dotted lines hold however often one looks, so that one may stop "
            "there."
        )

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether there are several intervals to compare."""
        return bool(frame["replicates"].max() > FIRST_SHOWN)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot per method."""
        groups, first = present(frame, study.groups), min(FIRST_SHOWN, frame["replicates"].max())
        titles = [study.looks.label(*pair, many(frame)) for pair in groups]
        figure, places = small_multiples(
            titles, row=170, x="number of replicates", y=f"average {study.words.noun}"
        )
        for pair, where in zip(groups, places, strict=True):
            part = group(frame, *pair)
            _plot(figure, part, part[part["replicates"] >= first], study.looks, where)
        _legend(figure, bool(frame["anytime_low"].notna().any()))
        figure.update_yaxes(tickformat=".3f", nticks=5)
        last = int(frame["replicates"].max())
        figure.update_xaxes(range=[0.7, last + 0.3], **steps(frame["replicates"]))
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which method is known best, and which least, after the last replicate."""
        last = frame[frame["replicates"] == frame["replicates"].max()]
        known = [
            ((row.high - row.low) / 2, study.called(row.backbone, row.method))
            for row in rows(last)
            if (row.backbone, row.method) in study.contenders and pd.notna(row.low)
        ]
        replicates = plural(int(frame["replicates"].max()), "replicate")
        if not known:
            return f"After {replicates} no mean has an interval."
        (least, best), (most, worst) = min(known), max(known)
        said = f"After {replicates} the mean of {worst} is known to +-{most:.3f}"
        return f"{said}, that of {best} to +-{least:.3f}." if worst != best else f"{said}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the intervals are."""
        last = int(frame["replicates"].max())
        first = min(FIRST_SHOWN, last)
        sequence = (
            f", and 95 % confidence sequence (Lai 1976) from {FIRST_LOOK} replicates on"
            if frame["anytime_low"].notna().any()
            else ""
        )
        return (
            f"Unit: fraction; average {study.words.noun}, n = {plural(last, 'replicate')}; 95 % t "
            f"interval over replicates, from {first} on{sequence}. Every plot has a range of "
            f"its own.{study.looks.note}"
        )


def _plot(
    figure: go.Figure,
    part: pd.DataFrame,
    sure: pd.DataFrame,
    looks: Looks,
    where: dict[str, int],
) -> None:
    """Draws the mean of a method, the t intervals that are `sure`, and the confidence sequence."""
    method, backbone = part["method"].iloc[0], part["backbone"].iloc[0]
    for bound in ("anytime_low", "anytime_high"):
        figure.add_scatter(
            x=part["replicates"], y=part[bound], mode="lines", hoverinfo="skip", showlegend=False,
            line={"color": INK, "width": 1, "dash": "dot"}, **where,
        )  # fmt: skip
    bars = part.index.isin(sure.index)
    above, below = part["high"] - part["mean"], part["mean"] - part["low"]
    figure.add_scatter(
        x=part["replicates"], y=part["mean"], mode="lines+markers", line=looks.line(method),
        marker=looks.marker(method, backbone), showlegend=False,
        error_y={"array": above.where(bars).fillna(0), "arrayminus": below.where(bars).fillna(0),
                 "thickness": 1.5, "width": 4},
        customdata=part[["low", "high", "anytime_low", "anytime_high"]],
        hovertemplate="%{x} replicates: %{y:.4f}, t interval %{customdata[0]:.4f} to "
        "%{customdata[1]:.4f}, confidence sequence %{customdata[2]:.4f} to "
        "%{customdata[3]:.4f}<extra></extra>",
        **where,
    )  # fmt: skip
    drawn = pd.concat(
        [part["mean"], sure["low"], sure["high"], part["anytime_low"], part["anytime_high"]]
    )
    margin = max(0.1 * (drawn.max() - drawn.min()), 0.005)
    figure.update_yaxes(range=[drawn.min() - margin, drawn.max() + margin], **where)


def _legend(figure: go.Figure, has_sequence: bool) -> None:
    """Explains the marks, in ink because every plot has a colour of its own."""
    marks: dict[str, dict[str, Any]] = {
        "mean and t interval": {
            "mode": "lines+markers",
            "line": {"color": INK},
            "error_y": {"array": [0]},
        }
    }
    if has_sequence:
        dotted = {"color": INK, "width": 1, "dash": "dot"}
        marks["confidence sequence"] = {"mode": "lines", "line": dotted}
    for name, mark in marks.items():
        figure.add_scatter(x=[None], y=[None], name=name, **mark, row=1, col=1)
