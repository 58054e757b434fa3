"""What was known after every replicate."""

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.confidence_sequences import FIRST_LOOK, block_means, convergence
from analysis.report.figure_style import INK, Looks, label, many, present, small_multiples
from analysis.report.panels.base import Panel
from analysis.report.phrases import plural
from analysis.report.report_frames import group
from analysis.report.study_statistics import StudyStatistics
from analysis.run_metrics.metric import METRICS

FIRST_SHOWN = 3
"""Replicates whose interval a plot has room for; that of two is four times as wide."""


class ConvergenceCurves(Panel):
    """Shows the mean of every method with its intervals after every replicate."""

    key, title, table = "convergence", "Convergence", "convergence"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what was known when; nothing for a single replicate."""
        metric = "average_accuracy"
        found = convergence(block_means(study.runs, metric), METRICS[metric].limits)
        return found if (found["replicates"] > 1).any() else found.iloc[:0]

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what band and lines are."""
        return (
            "What would have been known with fewer replicates? The band is right for a number "
            "fixed beforehand; the dotted lines hold however often one looks, so that one may stop "
            "there."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot per method."""
        groups = present(frame, study.groups)
        titles = [label(*pair, many(frame)) for pair in groups]
        figure, places = small_multiples(
            titles, row=200, head=80, gap=70, shared_xaxes="all", horizontal_spacing=0.08
        )
        looks = Looks(method for _, method in groups)
        for (backbone, method), where in zip(groups, places, strict=True):
            part = group(frame, backbone, method)
            _plot(figure, part, looks.colour(method), where, first=where is places[0])
            sure = part[part["replicates"] >= FIRST_SHOWN]
            if sure["low"].notna().any():
                low, high = sure["low"].min(), sure["high"].max()
                margin = max(0.1 * (high - low), 0.005)
                figure.update_yaxes(range=[low - margin, high + margin], **where)
        figure.update_yaxes(tickformat=".3f")
        figure.update_xaxes(dtick=max(1, -(-int(frame["replicates"].max()) // 10)))
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the intervals are."""
        replicates = plural(int(frame["replicates"].max()), "replicate")
        return (
            f"Unit: fraction; average accuracy, n = {replicates}; 95 % t interval over replicates, "
            f"and 95 % confidence sequence (Lai 1976) from {FIRST_LOOK} replicates on. Each panel "
            f"has its own range, which holds the t intervals from {FIRST_SHOWN} replicates on."
        )


def _plot(
    figure: go.Figure, part: pd.DataFrame, colour: str, where: dict[str, int], first: bool
) -> None:
    x, common = part["replicates"], {"mode": "lines", "hoverinfo": "skip"}
    for i, bound in enumerate(("low", "high")):
        figure.add_scatter(
            x=x, y=part[bound], line={"width": 0}, fill="tonexty" if i else None,
            fillcolor=_pale(colour), name="t interval", legendgroup="t",
            showlegend=first and bool(i), **common, **where,
        )  # fmt: skip
    for i, bound in enumerate(("anytime_low", "anytime_high")):
        figure.add_scatter(
            x=x, y=part[bound], line={"color": INK, "width": 1, "dash": "dot"},
            name="confidence sequence", legendgroup="sequence", showlegend=first and not i,
            **common, **where,
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=part["mean"], mode="lines+markers", line={"color": colour}, marker={"size": 5},
        name="mean", legendgroup="mean", showlegend=first,
        customdata=part[["low", "high", "anytime_low", "anytime_high"]],
        hovertemplate="%{x} replicates: %{y:.4f}, t interval %{customdata[0]:.4f} to "
        "%{customdata[1]:.4f}, confidence sequence %{customdata[2]:.4f} to "
        "%{customdata[3]:.4f}<extra></extra>",
        **where,
    )  # fmt: skip


def _pale(colour: str) -> str:
    """Returns a hex colour, mostly transparent."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},.2)"
