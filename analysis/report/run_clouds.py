"""Runs as dots, a row per method: what two panels of the page share."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, Groups, Looks, empty_figure, label, text
from analysis.report.phrases import interval
from analysis.report.report_frames import by_metric, group, moved

MIN_DENSITY = 12
"""Runs below which a density curve would suggest more than is known."""


def rows_of(groups: Groups, title: str, with_backbone: bool) -> go.Figure:
    """Returns an empty figure with one horizontal row per method, the first on top."""
    figure = empty_figure(height=110 + 64 * len(groups), showlegend=False)
    figure.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[label(*pair, with_backbone, "<br>") for pair in groups],
        range=[len(groups) - 0.35, -0.75],
        showgrid=False,
    )
    figure.update_xaxes(title=title, tickformat=".2f")
    return figure


def clouds(
    figure: go.Figure,
    runs: pd.DataFrame,
    estimates: pd.DataFrame,
    groups: Groups,
    others: Iterable[str] = (),
) -> go.Figure:
    """Fills the rows: density above, runs as dots below, mean and interval between.

    Args:
        figure: what `rows_of` returns.
        runs: one dot each.
        estimates: their means.
        groups: a row each.
        others: methods that are not shown, but count for the colours.
    """
    looks, moving = Looks([*runs["method"], *others]), moved(runs)
    for row, (backbone, method) in enumerate(groups):
        part = group(runs, backbone, method)
        values = part["average_accuracy"]
        colour = looks.colour(method)
        if len(part) >= MIN_DENSITY and (backbone, method) in moving:
            figure.add_violin(
                x=values, y0=row, orientation="h", side="negative", width=1.1, points=False,
                line={"width": 1, "color": colour}, hoverinfo="skip", spanmode="hard",
            )  # fmt: skip
        figure.add_scatter(
            x=values,
            y=row + 0.12 + 0.22 * _jitter(len(part)),
            mode="markers",
            marker=dots(looks, method),
            **hover(part, "average accuracy %{x:.3f}"),
        )
        _mean(figure, estimates, backbone, method, row)
    return figure


def _mean(figure: go.Figure, estimates: pd.DataFrame, backbone: str, method: str, row: int) -> None:
    estimate = by_metric(estimates, backbone, method)["average_accuracy"]
    has_interval = np.isfinite(estimate.low)
    figure.add_scatter(
        x=[estimate.mean],
        y=[row],
        mode="markers",
        marker={"symbol": "diamond", "size": 10, "color": INK},
        error_x={"array": [estimate.high - estimate.mean], "color": INK, "thickness": 2}
        if has_interval
        else None,
        hovertemplate=f"mean {interval(estimate.mean, estimate.low, estimate.high)}"
        f"<extra>{text(method)}</extra>",
    )


def dots(looks: Looks, method: str, variant: str = "") -> dict[str, object]:
    """Returns how the dots of a method look."""
    symbol = looks.symbol(method) + variant
    return {"color": looks.colour(method), "symbol": symbol, "size": 6, "opacity": 0.7}


def hover(runs: pd.DataFrame, values: str) -> dict[str, object]:
    """Returns what a dot says: its values; the page adds the order and replicate of its place."""
    template = f"{values}<br>%{{text}}<extra></extra>"
    return {"customdata": list(runs["place"]), "meta": "runs", "hovertemplate": template}


def _jitter(num: int) -> np.ndarray:
    """Returns numbers in [0, 1) that keep neighbours apart, the same every time."""
    return (np.arange(num) * 0.6180339887) % 1
