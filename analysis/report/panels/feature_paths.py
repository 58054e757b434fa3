"""How features move while later tasks are learnt: one picture per method and task."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.feature_motion import feature_maps
from analysis.report import html_parts
from analysis.report.figure_style import INK, Groups, empty_figure, many, present, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group
from analysis.report.study_statistics import StudyStatistics

SYMBOLS = {"image": "circle", "text": "star"}
WHEN = ("right after the task was learnt", "after the last task")


class FeaturePaths(Panel):
    """Shows the samples of one task, right after it was learnt and at the end."""

    key, title, table = "features", "How features move", "feature_maps"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns where the features of every task go."""
        return feature_maps(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what a line is."""
        return (
            "Where do the images and texts of a task go while later tasks are learnt? Every line "
            "leads from a sample right after its task was learnt to the same one at the end."
        )

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of method and task."""
        traces = traces_of(frame, study.baseline_first)
        names = [
            text(f"{study.looks.label(b, m, many(frame))}: {task}", 60) for b, m, task in traces
        ]
        return html_parts.select(
            "feature-traces", "method, task", names, css="wide", traces=self.key
        )

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns methods and tasks."""
        traces = traces_of(frame, study.baseline_first)
        return [{"backbone": b, "method": m, "task": task} for b, m, task in traces]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a trace per method and task, of which the first is visible."""
        figure = empty_figure(height=560)
        for i, (backbone, method, task) in enumerate(traces_of(frame, study.baseline_first)):
            mine = group(frame, backbone, method)
            mine = mine[mine["task"] == task]
            gap = np.full(len(mine), np.nan)
            x, y = (np.stack([mine[a], mine[f"{a}_end"], gap], axis=1).ravel() for a in "xy")
            figure.add_scatter(
                x=x, y=y, mode="lines+markers", visible=i == 0, showlegend=False,
                line={"color": "rgba(128,128,128,.35)", "width": 1},
                marker=_markers(mine, study.looks.colour(method)), customdata=_facts(mine),
                name=f"{study.looks.label(backbone, method, many(frame))}: {text(task)}",
                hovertemplate="%{customdata}<extra></extra>",
            )  # fmt: skip
        figure.update_xaxes(showticklabels=False)
        figure.update_yaxes(showticklabels=False, scaleanchor="x")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which run is shown, and what the marks are."""
        run = frame.iloc[0]
        return (
            "Unit: none; t-SNE of both moments together, where only neighbourhoods mean anything; "
            f"one run per method, the worst on average over methods: {' > '.join(run['order'])}, "
            f"replicate {run['replicate']}; no interval. Circles: images, stars: texts of choices; "
            "small and open: before, large and full: at the end; classes: hover."
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how many images have their own class nearest, before and at the end."""
        found = []
        for pair in present(frame, study.baseline_first):
            mine = group(frame, *pair)
            parts = [part for _, part in mine.groupby("task") if (part["modality"] == "text").any()]
            if parts:
                before, after = (_own_nearest(parts, end) for end in ("", "_end"))
                found.append(f"{before:.0%} and {after:.0%} with {study.called(*pair)}")
        if not found:
            return ""
        return (
            "Images whose nearest text in the picture is that of their class, right after the task "
            f"was learnt and after the last one: {'; '.join(found)}."
        )


def traces_of(frame: pd.DataFrame, groups: Groups) -> list[tuple[str, str, str]]:
    """Returns (backbone, method, task) of the traces, in their order."""
    pairs = present(frame, groups)
    return [(*pair, task) for pair in pairs for task in group(frame, *pair)["task"].unique()]


def _own_nearest(parts: list[pd.DataFrame], end: str) -> float:
    """Returns the share of images, over all tasks, whose nearest text is that of their class."""
    hits = []
    for part in parts:
        images, texts = (part[part["modality"] == name] for name in ("image", "text"))
        mine, others = (side[[f"x{end}", f"y{end}"]].to_numpy() for side in (images, texts))
        nearest = ((mine[:, None] - others[None]) ** 2).sum(axis=2).argmin(axis=1)
        hits += list(texts["choice"].to_numpy()[nearest] == images["choice"].to_numpy())
    return float(np.mean(hits))


def _markers(samples: pd.DataFrame, colour: str) -> dict[str, list[object]]:
    """Returns the looks of samples before, at the end, and of the gap to the next sample.

    Images have the colour of their method, texts that of ink.
    """
    looks: dict[str, list[object]] = {"symbol": [], "color": [], "size": []}
    for modality in samples["modality"]:
        symbol = SYMBOLS[modality]
        size = 12 if modality == "text" else 8
        looks["symbol"] += [f"{symbol}-open", symbol, symbol]
        looks["color"] += [INK if modality == "text" else colour] * 3
        looks["size"] += [size - 2, size, size]
    return looks


def _facts(samples: pd.DataFrame) -> list[str]:
    facts = zip(samples["modality"], samples["sample"], samples["choice"], strict=True)
    return [
        line
        for modality, sample, choice in facts
        for line in (*(f"{modality} {sample}, class {choice}<br>{when}" for when in WHEN), "")
    ]
