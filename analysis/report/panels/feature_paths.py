"""How features move while later tasks are learnt: one picture per method and task."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.feature_motion import feature_maps
from analysis.report import html_parts
from analysis.report.figure_style import COLOURS, Groups, empty_figure, label, many, present, text
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
        names = [text(f"{label(b, m, many(frame))}: {task}", 60) for b, m, task in traces]
        return html_parts.select(
            "feature-traces", "method, task", names, css="wide", traces=self.key
        )

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
                marker=_markers(mine), customdata=_facts(mine),
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
            "small and open: before, large and full: at the end; colours: classes."
        )


def traces_of(frame: pd.DataFrame, groups: Groups) -> list[tuple[str, str, str]]:
    """Returns (backbone, method, task) of the traces, in their order."""
    pairs = present(frame, groups)
    return [(*pair, task) for pair in pairs for task in group(frame, *pair)["task"].unique()]


def _markers(samples: pd.DataFrame) -> dict[str, list[object]]:
    """Returns the looks of samples before, at the end, and of the gap to the next sample."""
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
