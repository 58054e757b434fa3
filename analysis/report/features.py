"""The section on how features move: one picture per method and task."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report import parts
from analysis.report.figures import label, many
from analysis.report.frames import group
from analysis.report.panels import present
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.report.style import COLOURS, TEMPLATE, text

SYMBOLS = {"image": "circle", "text": "star"}
WHEN = ("right after the task was learnt", "after the last task")


def section(study: Study) -> Section:
    """Features of one task, before and after others were learnt."""
    found = study.feature_maps
    if found.empty:
        return Section("features", "", "")
    run = found.iloc[0]
    about = (
        "Where do the images and texts of a task go while later tasks are learnt? Every line leads "
        "from a sample right after its task was learnt to the same one at the end."
    )
    caption = (
        "Unit: none; t-SNE of both moments together, where only neighbourhoods mean anything; one "
        f"run per method, the worst on average over methods: {' > '.join(run['order'])}, replicate "
        f"{run['replicate']}; no interval. Circles: images, stars: texts of choices; small and "
        "open: before, large and full: at the end; colours: classes."
    )
    names = [text(f"{label(b, m, many(found))}: {task}", 60) for b, m, task in shown(study)]
    chosen = parts.select("feature-traces", "method, task", names, css="wide", traces="features")
    body = f'<div class="controls">{chosen}</div>'
    body += parts.figure("features", "How features move", caption, "feature_maps")
    return Section("features", "How features move", parts.about(about) + body)


def shown(study: Study) -> list[tuple[str, str, str]]:
    """(backbone, method, task) of the traces, in their order."""
    found = study.feature_maps
    pairs = present(found, study.baseline_first)
    return [(*pair, task) for pair in pairs for task in group(found, *pair)["task"].unique()]


def feature_paths(study: Study) -> go.Figure:
    """A trace per method and task: all samples, before and at the end."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 560})
    for i, (backbone, method, task) in enumerate(shown(study)):
        mine = group(study.feature_maps, backbone, method)
        mine = mine[mine["task"] == task]
        gap = np.full(len(mine), np.nan)
        x, y = (np.stack([mine[a], mine[f"{a}_end"], gap], axis=1).ravel() for a in "xy")
        figure.add_scatter(
            x=x, y=y, mode="lines+markers", visible=i == 0, showlegend=False,
            line={"color": "rgba(128,128,128,.35)", "width": 1},
            marker=_markers(mine), customdata=_facts(mine),
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False, scaleanchor="x")
    return figure


def _markers(samples: pd.DataFrame) -> dict[str, list[object]]:
    """Before, at the end, and for the gap between two samples."""
    looks: dict[str, list[object]] = {"symbol": [], "color": [], "size": []}
    for modality, choice in zip(samples["modality"], samples["choice"], strict=True):
        symbol, colour = SYMBOLS[modality], COLOURS[choice % len(COLOURS)]
        size = 12 if modality == "text" else 8
        looks["symbol"] += [f"{symbol}-open", symbol, symbol]
        looks["color"] += [colour] * 3
        looks["size"] += [size - 2, size, size]
    return looks


def _facts(samples: pd.DataFrame) -> list[str]:
    facts = zip(samples["modality"], samples["sample"], samples["choice"], strict=True)
    return [
        line
        for modality, sample, choice in facts
        for line in (*(f"{modality} {sample}, class {choice}<br>{when}" for when in WHEN), "")
    ]
