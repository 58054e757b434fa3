"""All orders as a tree of prefixes."""

import pandas as pd
import plotly.graph_objects as go

from analysis.report import html_parts, report_text
from analysis.report.figure_style import SCALE, empty_figure, label, labels, many, text
from analysis.report.panels.base import Panel
from analysis.report.phrases import plural
from analysis.report.report_frames import group, of_pairs
from analysis.report.study_statistics import StudyStatistics

ROOT = "stage 0"
MAX_NODES = 12_000
"""Prefixes drawn in the tree: a browser takes seconds for more."""


class OrderTree(Panel):
    """Shows all orders as a tree, coloured by where the runs through each prefix end."""

    key, title, table = "tree", "Orders as a tree", "tree"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns where the runs through every prefix end; nothing if no order moves a method."""
        return trie(of_pairs(study.runs, study.moved))

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what path and colour are."""
        return (
            "Every path from the top is an order; the colour of a prefix is the mean average "
            "accuracy at which the runs through it end. A click zooms in."
        )

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of a method."""
        return html_parts.select(
            "tree-traces", "method", labels(study.moved_groups), traces=self.key
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns one trace per (backbone, method), of which the first is visible."""
        figure = empty_figure(height=620, margin={"l": 8, "r": 8, "t": 8, "b": 8})
        shown = shallow(frame)
        names = sorted({t for p in shown["prefix"] for t in p})
        tasks = {task: str(i) for i, task in enumerate(names)}

        def node(prefix: tuple[str, ...]) -> str:
            return ".".join(["", *(tasks[task] for task in prefix)]) or "."

        for i, (backbone, method) in enumerate(study.moved_groups):
            part = group(shown, backbone, method)
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
                    name=label(backbone, method, many(shown)),
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

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: fraction; mean over the runs through a prefix, "
            f"{plural(len(of_pairs(study.runs, study.moved)), 'run')} in all methods and "
            "replicates, no interval; width: number of runs. Every method has its own colour "
            f"range.{report_text.left_out(study)}"
        )


def shallow(trie: pd.DataFrame) -> pd.DataFrame:
    """Returns the first levels of a trie, as many as have at most MAX_NODES nodes."""
    depth = trie["prefix"].map(len)
    nodes = depth.value_counts().sort_index().cumsum()
    deepest = int(nodes[nodes <= MAX_NODES].index.max())
    return trie.loc[depth <= deepest]


def trie(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns where the runs through every prefix ended.

    Returns:
        One row per (backbone, method, prefix): runs, and the mean of their average accuracy.
    """
    prefixes = [[order[:k] for k in range(len(order) + 1)] for order in runs["order"]]
    head = ["backbone", "method", "prefix"]
    long = runs.assign(prefix=pd.Series(prefixes, runs.index, dtype=object)).explode("prefix")
    found = long.groupby(head)["average_accuracy"].agg(["size", "mean"]).reset_index()
    return found.rename(columns={"size": "runs", "mean": "average_accuracy"})
