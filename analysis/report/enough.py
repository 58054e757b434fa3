"""The parts of the report on whether there are enough orders: ranks over them, and convergence."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from analysis.inference.confidence_sequences import FIRST_LOOK
from analysis.report import parts
from analysis.report.figures import Groups, label, many
from analysis.report.findings import plural
from analysis.report.frames import group, rows
from analysis.report.panels import present
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.report.style import INK, SCALE, TEMPLATE, Looks, small_multiples

FIRST_SHOWN = 3
"""Replicates whose interval a panel has room for; that of two is four times as wide."""


def rank_bars(found: pd.DataFrame) -> go.Figure:
    """How often every method takes which place; a stacked bar per method, best places left.

    A bump chart would say the same of a handful of orders, and nothing of hundreds.
    """
    several, methods = many(found), found[["backbone", "method"]].drop_duplicates()
    figure = go.Figure(layout={"template": TEMPLATE, "height": 120 + 40 * len(methods)})
    figure.update_layout(barmode="stack", legend={"traceorder": "normal"}, showlegend=True)
    places = int(found["rank"].max())
    colours = sample_colorscale(SCALE, np.linspace(0.95, 0.05, places))
    for (rank, part), colour in zip(found.groupby("rank"), colours, strict=True):
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


def convergence_curves(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """The mean of every method with its intervals after every replicate, a panel per method."""
    groups = present(found, groups)
    titles = [label(*pair, many(found)) for pair in groups]
    figure, places = small_multiples(
        titles, row=200, head=80, gap=70, shared_xaxes="all", horizontal_spacing=0.08
    )
    looks = Looks(method for _, method in groups)
    for (backbone, method), where in zip(groups, places, strict=True):
        part = group(found, backbone, method)
        _panel(figure, part, looks.colour(method), where, first=where is places[0])
        sure = part[part["replicates"] >= FIRST_SHOWN]
        if sure["low"].notna().any():
            low, high = sure["low"].min(), sure["high"].max()
            margin = max(0.1 * (high - low), 0.005)
            figure.update_yaxes(range=[low - margin, high + margin], **where)
    figure.update_yaxes(tickformat=".3f")
    figure.update_xaxes(dtick=max(1, -(-int(found["replicates"].max()) // 10)))
    return figure


def _panel(
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
        customdata=np.column_stack([part["high"] - part["mean"],
                                    part["anytime_high"] - part["mean"]]),
        hovertemplate="%{x} replicates: %{y:.4f}, t interval +- %{customdata[0]:.4f}, "
        "confidence sequence +- %{customdata[1]:.4f}<extra></extra>",
        **where,
    )  # fmt: skip


def _pale(colour: str) -> str:
    """A hex colour, mostly transparent."""
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},.2)"


def ranks(study: Study) -> Section:
    """Which places methods take."""
    if study.ranks.empty:
        return Section("ranks", "", "")
    runs = plural(int(study.ranks["runs"].max()), "run")
    about = "All methods on the same order and replicate: who comes first, who second, and so on?"
    caption = (
        f"Unit: share of runs; n = {runs} per method, no interval. Methods that are equal share "
        "the places that they take together; best mean place on top."
    )
    body = parts.figure("ranks", "Places over orders", caption, "ranks")
    return Section("ranks", "Places over orders", parts.about(about) + body)


def convergence(study: Study) -> Section:
    """What was known after every replicate."""
    if study.convergence.empty:
        return Section("convergence", "", "")
    replicates = plural(int(study.convergence["replicates"].max()), "replicate")
    about = (
        "What would have been known with fewer replicates? The band is right for a number fixed "
        "beforehand; the dotted lines hold however often one looks, so that one may stop there."
    )
    caption = (
        f"Unit: fraction; average accuracy, n = {replicates}; 95 % t interval over replicates, "
        f"and 95 % confidence sequence (Lai 1976) from {FIRST_LOOK} replicates on. Each panel has "
        f"its own range, which holds the t intervals from {FIRST_SHOWN} replicates on."
    )
    body = parts.figure("convergence", "How much is enough?", caption, "convergence")
    return Section("convergence", "How much is enough?", parts.about(about) + body)
