"""Figures of contributions of all kinds and of failure modes: drawn from frames."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.failure_modes import MEASURES
from analysis.report.figures import Groups, interval, label, many
from analysis.report.frames import group, rows
from analysis.report.panels import present
from analysis.report.style import DIVERGING, TEMPLATE, Looks, small_multiples, text

KINDS = {
    "gain": "task to accuracy on a task",
    "image_text": "images of a task to texts of a task",
    "image_image": "images of a task to images of a task",
    "text_text": "texts of a task to texts of a task",
    "modality": "modality to accuracy on a task",
    "mm_shap": "modality to the fit of image and text (MM-SHAP)",
    "tower": "update of a tower to accuracy on a task",
}
"""Kinds that are shown as heat maps; "text_image" is "image_text" with its axes exchanged."""
MOST_NUMBERED = 12
"""Players or targets up to which cells hold their number."""


def shown(found: pd.DataFrame, groups: Groups) -> list[tuple[str, str, str]]:
    """(kind, backbone, method) of the traces of `cell_heatmap`."""
    kinds = [kind for kind in KINDS if kind in set(found["kind"])]
    parts = {kind: found[found["kind"] == kind] for kind in kinds}
    return [(kind, *pair) for kind in kinds for pair in present(parts[kind], groups)]


def cell_heatmap(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """What every contribution adds, and in its hover how robust it is; a trace per kind, method."""
    most = max((found["player"].nunique(), found["target"].nunique()))
    figure = go.Figure(layout={"template": TEMPLATE, "height": 160 + 44 * min(most, 24)})
    for i, (kind, backbone, method) in enumerate(shown(found, groups)):
        part = group(found[found["kind"] == kind], backbone, method)
        wide = part.assign(
            fact=[_fact(row) for row in rows(part)], shown=[_short(row) for row in rows(part)]
        )
        z, fact, short = (
            wide.pivot(index="player", columns="target", values=column)
            for column in ("drift", "fact", "shown")
        )
        limit = max(float(part["drift"].abs().max()), 1e-9)
        few = max(z.shape) <= MOST_NUMBERED
        figure.add_heatmap(
            z=z.to_numpy(), customdata=fact.to_numpy(), text=short.to_numpy(),
            x=[text(name, 16) for name in z.columns], y=[text(name, 16) for name in z.index],
            zmin=-limit, zmax=limit, colorscale=DIVERGING, xgap=2, ygap=2,
            texttemplate="%{text}" if few else "", visible=i == 0,
            hovertemplate="%{customdata}<extra></extra>",
            colorbar={"thickness": 12, "tickformat": ".2f"},
            name=f"{KINDS[kind]}: {label(backbone, method, many(found))}",
        )  # fmt: skip
    figure.update_xaxes(title="to", showgrid=False)
    figure.update_yaxes(title="of", autorange="reversed", showgrid=False)
    return figure


def _short(row: Any) -> str:
    """The number in a cell; "~" where the order moves it more than it amounts to."""
    return f"{'~' if row.signal < 0.5 else ''}{row.drift:z.3f}"


def _fact(row: Any) -> str:
    moved = "" if row.mean == row.drift else f", {row.drift:+z.3f} since stage 0"
    seeds = "" if pd.isna(row.seed_sd) else f", over seeds {row.seed_sd:.3f}"
    lines = [
        f"{text(row.player)} to {text(row.target)}:",
        f"{interval(row.mean, row.low, row.high)}{moved}",
        f"SD over orders {row.order_sd:.3f}{seeds}; worst tenth {row.worst_tenth:z.3f}",
        f"up minus down {row.sign:+.0%} of {row.runs} runs",
    ]
    if pd.notna(row.signal):
        lines[-1] += f"; signal {row.signal:.2f}"
    if pd.notna(row.position):
        lines.append(
            f"explained: by position {row.position:.0%}, by what came before {row.predecessor:.0%}"
        )
    return "<br>".join(lines)


def mode_curves(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """Every measure of a failure mode over the stages, a panel per measure."""
    measures = [name for name in MEASURES if name in set(found["measure"])]
    titles = [MEASURES[name].label for name in measures]
    figure, places = small_multiples(titles, row=210, head=90, gap=62, horizontal_spacing=0.07)
    looks = Looks(method for _, method in groups)
    for backbone, method in present(found, groups):
        part = group(found, backbone, method)
        for place, name in enumerate(measures):
            mine = part[part["measure"] == name]
            bounds = [interval(row.mean, row.low, row.high) for row in rows(mine)]
            figure.add_scatter(
                x=mine["stage"], y=mine["mean"], mode="lines+markers",
                name=label(backbone, method, many(found)), legendgroup=f"{backbone} {method}",
                showlegend=place == 0, **places[place],
                line={"color": looks.colour(method), "width": 1.5},
                marker={"symbol": looks.symbol(method), "size": 6},
                text=bounds, customdata=mine[["order_sd", "runs"]].to_numpy(),
                hovertemplate="stage %{x}: %{text}<br>SD over orders %{customdata[0]:.3f}, "
                f"%{{customdata[1]}} runs<extra>{text(method)}</extra>",
            )  # fmt: skip
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(tickformat=".2f")
    return figure
