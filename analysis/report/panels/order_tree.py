"""All orders as a tree of prefixes."""

import pandas as pd
import plotly.graph_objects as go

from analysis.report import html_parts
from analysis.report.figure_style import SCALE, Groups, empty_figure, many, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, of_pairs
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import plural

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
            "Which first tasks lead to a good end? Every path from the top is an order; the colour "
            "of a prefix is where the runs through it end on average. A click zooms in."
        )

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of a method."""
        return html_parts.select(
            "tree-traces", "method", study.looks.labels(most_moved(study)), traces=self.key
        )

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns the methods."""
        groups = most_moved(study)
        return [{"backbone": backbone, "method": method} for backbone, method in groups]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns one trace per (backbone, method), of which the first is visible."""
        figure = empty_figure(height=620, margin={"l": 8, "r": 8, "t": 8, "b": 8})
        shown = shallow(frame)
        names = sorted({t for p in shown["prefix"] for t in p})
        tasks = {task: str(i) for i, task in enumerate(names)}

        ends = shown["average_accuracy"]

        def node(prefix: tuple[str, ...]) -> str:
            return ".".join(["", *(tasks[task] for task in prefix)]) or "."

        for i, (backbone, method) in enumerate(most_moved(study)):
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
                    name=study.looks.label(backbone, method, many(shown)),
                    marker={
                        "colors": part["average_accuracy"],
                        "colorscale": SCALE,
                        "cmin": ends.min(),
                        "cmax": ends.max(),
                        "showscale": True,
                        "colorbar": {"thickness": 12, "tickformat": ".2f", "len": 0.9, "y": 0.45},
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

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which first task leads to the best and which to the worst end."""
        pair = most_moved(study)[0]
        mine = group(frame, *pair)
        first = mine[mine["prefix"].map(len) == 1].sort_values("average_accuracy")
        worst, best = first.iloc[0], first.iloc[-1]
        every = mine.loc[mine["prefix"].map(len) == 0, "average_accuracy"].iloc[0]
        said = f"With {study.called(*pair)} the {plural(int(mine['runs'].max()), 'run')} end at"
        if len(first) == 1:
            return f"{said} {every:.3f} on average; all of them begin with {best['prefix'][0]}."
        return (
            f"{said} {every:.3f} on average, those that begin with {best['prefix'][0]} at "
            f"{best['average_accuracy']:.3f}, those with {worst['prefix'][0]} at "
            f"{worst['average_accuracy']:.3f}."
        )

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: fraction; mean over the runs through a prefix, "
            f"{plural(len(of_pairs(study.runs, study.moved)), 'run')} in all methods and "
            "replicates, no interval; width: number of runs. All methods have the same colours."
            f"{report_text.left_out(study)}"
        )


def most_moved(study: StudyStatistics) -> Groups:
    """Returns every (backbone, method) that the order moves, by falling SD over orders."""
    spread = study.robustness.set_index(["backbone", "method"])["order_sd"]
    return sorted(study.moved_groups, key=lambda pair: -spread[pair])


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
