"""Runs as dots, a row per method: what two panels of the page share."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, Groups, Looks, empty_figure
from analysis.report.report_frames import by_metric, group, moved
from analysis.report.text.phrases import interval

MIN_DENSITY = 12
"""Runs below which a density curve would suggest more than is known."""


def rows_of(groups: Groups, title: str, with_backbone: bool, looks: Looks) -> go.Figure:
    """Returns an empty figure with one horizontal row per method, the first on top."""
    figure = empty_figure(height=110 + 64 * len(groups), showlegend=False)
    figure.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[looks.tick(*pair, with_backbone) for pair in groups],
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
    looks: Looks,
    noun: str,
) -> go.Figure:
    """Fills the rows: density above, runs as dots below, mean and interval between.

    Args:
        figure: what `rows_of` returns.
        runs: one dot each.
        estimates: their means.
        groups: a row each.
        looks: of the methods.
        noun: what sentences call a score.
    """
    moving = moved(runs)
    for row, (backbone, method) in enumerate(groups):
        part = group(runs, backbone, method)
        values = part["average_accuracy"]
        if len(part) >= MIN_DENSITY and (backbone, method) in moving:
            figure.add_violin(
                x=values, y0=row, orientation="h", side="negative", width=1.1, points=False,
                line={"width": 1, "color": looks.colour(method)}, hoverinfo="skip",
                spanmode="hard",
            )  # fmt: skip
        figure.add_scatter(
            x=values,
            y=row + 0.12 + 0.22 * _jitter(len(part)),
            mode="markers",
            marker=looks.marker(method) | {"opacity": 0.7},
            **hover(part, f"average {noun} %{{x:.3f}}"),
        )
        _mean(figure, estimates, backbone, method, row, looks)
    return figure


def _mean(
    figure: go.Figure, estimates: pd.DataFrame, backbone: str, method: str, row: int, looks: Looks
) -> None:
    estimate = by_metric(estimates, backbone, method)["average_accuracy"]
    hollow, bars = method in looks.references, None
    if np.isfinite(estimate.low):
        up, down = estimate.high - estimate.mean, estimate.mean - estimate.low
        bars = {"array": [up], "arrayminus": [down], "color": INK, "thickness": 2}
    figure.add_scatter(
        x=[estimate.mean],
        y=[row],
        mode="markers",
        marker={"symbol": "diamond-open" if hollow else "diamond", "size": 10, "color": INK},
        error_x=bars,
        hovertemplate=f"mean {interval(estimate.mean, estimate.low, estimate.high)}"
        f"<extra>{looks.name(method)}</extra>",
    )


def hover(runs: pd.DataFrame, values: str) -> dict[str, object]:
    """Returns what a dot says: its values; the page adds the order and replicate of its place."""
    template = f"{values}<br>%{{text}}<extra></extra>"
    return {"customdata": list(runs["place"]), "meta": "runs", "hovertemplate": template}


def _jitter(num: int) -> np.ndarray:
    """Returns numbers in [0, 1) that keep neighbours apart, the same every time."""
    return (np.arange(num) * 0.6180339887) % 1
