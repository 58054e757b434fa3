"""The figures of the report: every function draws one from a frame, and computes nothing else."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.inference.estimates import ROPE
from analysis.report.frames import by_metric, group
from analysis.report.style import INK, SCALE, SYMBOL_VARIANTS, TEMPLATE, Looks, text

Groups = Sequence[tuple[str, str]]
"""(backbone, method), in the order in which they are shown."""
ROOT = "stage 0"
MIN_DENSITY = 12
"""Runs below which a density curve would suggest more than is known."""


def distribution(runs: pd.DataFrame, summary: pd.DataFrame, groups: Groups) -> go.Figure:
    """Average accuracy of every run, one row per method, with mean and interval.

    In this and the next two figures `runs` have a column `place` (see `browser.places`).
    """
    figure = _rows(groups, "average accuracy after the last task", many(runs))
    return _clouds(figure, runs, summary, groups)


def differences(pairs: pd.DataFrame, comparison: pd.DataFrame, groups: Groups) -> go.Figure:
    """Average accuracy minus the baseline's on the same order and replicate."""
    baseline = comparison["baseline"].iloc[0]
    groups = [(b, m) for b, m in groups if len(group(pairs, b, m))]
    title = f"average accuracy, minus {text(baseline)}"
    figure = _rows(groups, title, many(pairs))
    figure.add_vrect(-ROPE, ROPE, fillcolor=INK, opacity=0.15, line_width=0)
    figure.add_vline(0, line={"color": INK, "width": 1, "dash": "dot"})
    return _clouds(figure, pairs, comparison, groups, baseline)


def trade_off(runs: pd.DataFrame, groups: Groups) -> go.Figure:
    """Forgetting against learning; runs on one dotted line end with the same average accuracy."""
    figure = _figure(height=520)
    lengths = runs["order"].map(len).unique()
    if len(lengths) == 1 and lengths[0] > 1:
        _iso_lines(figure, runs, lengths[0])
    looks = Looks(runs["method"])
    backbones = list(dict.fromkeys(backbone for backbone, _ in groups))
    for backbone, method in groups:
        part = group(runs, backbone, method)
        variant = SYMBOL_VARIANTS[backbones.index(backbone) % len(SYMBOL_VARIANTS)]
        figure.add_scatter(
            x=part["learning_accuracy"],
            y=part["forgetting_last"],
            mode="markers",
            name=label(backbone, method, many(runs)),
            marker=_dots(looks, method, variant),
            **_hover(part, "learning accuracy %{x:.3f}<br>forgetting %{y:.3f}"),
        )
    figure.update_xaxes(title="learning accuracy (just after each task)", tickformat=".2f")
    figure.update_yaxes(title="forgetting (lost since)", tickformat=".2f")
    return figure


def order_tree(trie: pd.DataFrame, groups: Groups) -> go.Figure:
    """All orders as a tree of prefixes, coloured by where the runs through each of them end.

    One trace per (backbone, method), of which the first is visible.
    """
    figure = _figure(height=620, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    tasks = {task: str(i) for i, task in enumerate(sorted({t for p in trie["prefix"] for t in p}))}

    def node(prefix: tuple[str, ...]) -> str:
        return ".".join(["", *(tasks[task] for task in prefix)]) or "."

    for i, (backbone, method) in enumerate(groups):
        part = group(trie, backbone, method)
        figure.add_trace(
            go.Icicle(
                ids=[node(prefix) for prefix in part["prefix"]],
                labels=[text(prefix[-1]) if prefix else ROOT for prefix in part["prefix"]],
                parents=[node(prefix[:-1]) if prefix else "" for prefix in part["prefix"]],
                values=part["runs"],
                text=[f"{value:.3f}" for value in part["average_accuracy"]],
                branchvalues="total",
                maxdepth=6,
                sort=False,
                textinfo="label+text",
                visible=i == 0,
                name=label(backbone, method, many(trie)),
                marker={
                    "colors": part["average_accuracy"],
                    "colorscale": SCALE,
                    "showscale": True,
                    "colorbar": {"thickness": 12, "tickformat": ".3f", "len": 0.9, "y": 0.45},
                    "line": {"width": 1},
                },
                hovertemplate="%{label}<br>%{value} runs through here end at %{text}"
                "<br>%{currentPath}<extra></extra>",
                tiling={"orientation": "v"},
                pathbar={"thickness": 22},
            )
        )
    figure.update_layout(uniformtext={"minsize": 9, "mode": "hide"})
    return figure


def many(frame: pd.DataFrame) -> bool:
    """Whether methods have to be told apart by their backbone, too."""
    return bool(frame["backbone"].nunique() > 1)


def label(backbone: str, method: str, with_backbone: bool, between: str = " ") -> str:
    """How a method is called in figures."""
    return text(method) + (f"{between}({text(backbone)})" if with_backbone else "")


def _figure(**layout: object) -> go.Figure:
    return go.Figure(layout={"template": TEMPLATE, **layout})


def _rows(groups: Groups, title: str, with_backbone: bool) -> go.Figure:
    """An empty figure with one horizontal row per method, the first on top."""
    figure = _figure(height=110 + 64 * len(groups), showlegend=False)
    figure.update_yaxes(
        tickvals=list(range(len(groups))),
        ticktext=[label(*pair, with_backbone, "<br>") for pair in groups],
        range=[len(groups) - 0.35, -0.75],
        showgrid=False,
    )
    figure.update_xaxes(title=title, tickformat=".2f")
    return figure


def _clouds(
    figure: go.Figure,
    runs: pd.DataFrame,
    estimates: pd.DataFrame,
    groups: Groups,
    baseline: str | None = None,
) -> go.Figure:
    """Fill the rows: density above, runs as dots below, mean and interval between."""
    looks = Looks([*runs["method"], *([baseline] if baseline else [])])
    for row, (backbone, method) in enumerate(groups):
        part = group(runs, backbone, method)
        values = part["average_accuracy"]
        colour = looks.colour(method)
        if len(part) >= MIN_DENSITY and values.max() > values.min():
            figure.add_violin(
                x=values, y0=row, orientation="h", side="negative", width=1.1, points=False,
                line={"width": 1, "color": colour}, hoverinfo="skip", spanmode="hard",
            )  # fmt: skip
        figure.add_scatter(
            x=values,
            y=row + 0.12 + 0.22 * _jitter(len(part)),
            mode="markers",
            marker=_dots(looks, method),
            **_hover(part, "average accuracy %{x:.3f}"),
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


def interval(mean: float, low: float, high: float, sign: str = "") -> str:
    """A mean with its interval, if there is one; `sign` "+" for differences."""
    bounds = f" [{low:{sign}z.3f}, {high:{sign}z.3f}]" if np.isfinite(low) else ""
    return f"{mean:{sign}z.3f}{bounds}"


def _dots(looks: Looks, method: str, variant: str = "") -> dict[str, object]:
    symbol = looks.symbol(method) + variant
    return {"color": looks.colour(method), "symbol": symbol, "size": 6, "opacity": 0.7}


def _hover(runs: pd.DataFrame, values: str) -> dict[str, object]:
    """What a dot says: its values; the page adds the order and replicate of its place."""
    template = f"{values}<br>%{{text}}<extra></extra>"
    return {"customdata": list(runs["place"]), "meta": "runs", "hovertemplate": template}


def _jitter(num: int) -> np.ndarray:
    """Numbers in [0, 1) that keep neighbours apart, the same every time."""
    return (np.arange(num) * 0.6180339887) % 1


def _iso_lines(figure: go.Figure, runs: pd.DataFrame, length: int) -> None:
    """Lines of equal average accuracy: AA = learning - (T - 1) / T * forgetting, exactly."""
    ratio = (length - 1) / length
    left, right = _padded(runs["learning_accuracy"])
    bottom, top = _padded(runs["forgetting_last"])
    lowest, highest = left - ratio * top, right - ratio * bottom
    step = next(size for size in (0.01, 0.02, 0.05, 0.1, 0.2) if highest - lowest < 12 * size)
    for level in np.arange(0, 1 + step / 2, step):
        crossings = [(left, (left - level) / ratio), (right, (right - level) / ratio)]
        crossings += [(level + ratio * bottom, bottom), (level + ratio * top, top)]
        inside = [(x, y) for x, y in crossings if left <= x <= right and bottom <= y <= top]
        if len(inside) >= 2:
            ends = [min(inside), max(inside)]
            figure.add_scatter(
                x=[x for x, _ in ends], y=[y for _, y in ends], mode="lines+text",
                text=["", f"{level:.2f}"], textposition="bottom left", textfont={"color": INK},
                line={"color": INK, "width": 1, "dash": "dot"}, opacity=0.6,
                showlegend=False, hoverinfo="skip",
            )  # fmt: skip
    figure.update_layout(xaxis={"range": [left, right]}, yaxis={"range": [bottom, top]})


def _padded(values: pd.Series) -> tuple[float, float]:
    margin = 0.06 * max(values.max() - values.min(), 0.02)
    return float(values.min() - margin), float(values.max() + margin)
