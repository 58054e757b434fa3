"""What the position of a task in the order does to it."""

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.task_contributions import profiles
from analysis.report.figure_style import Looks, label, many, present, small_multiples, text
from analysis.report.panels.base import Panel
from analysis.report.phrases import plural
from analysis.report.report_frames import group
from analysis.report.study_statistics import StudyStatistics


class PositionProfiles(Panel):
    """Shows final accuracy on every task by its position in the order, one plot per task."""

    key, title, table = "positions", "Positions", "profiles"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what a task gains and loses by its position."""
        return profiles(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "Is a task better learnt early or late? Accuracy on it at the end, by its position."

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method."""
        tasks = sorted(set(frame["task"]))
        figure, places = small_multiples(
            [text(task, 22) for task in tasks], row=190, head=90, gap=22.5,
            shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.04,
        )  # fmt: skip
        looks = Looks(method for _, method in study.groups)
        for backbone, method in present(frame, study.groups):
            part = group(frame, backbone, method)
            for place, task in enumerate(tasks):
                mine = part[part["task"] == task]
                figure.add_scatter(
                    x=mine["position"], y=mine["final"], mode="lines+markers",
                    name=label(backbone, method, many(frame)), legendgroup=f"{backbone} {method}",
                    showlegend=place == 0, **places[place],
                    line={"color": looks.colour(method), "width": 1.5},
                    marker={"symbol": looks.symbol(method), "size": 6},
                    customdata=mine[["gain", "lost", "runs"]].to_numpy(),
                    hovertemplate=f"{text(task)} in place %{{x}}: %{{y:.3f}} in the end<br>gained "
                    "%{customdata[0]:.3f}, lost since %{customdata[1]:.3f}, %{customdata[2]} runs"
                    f"<extra>{text(method)}</extra>",
                )  # fmt: skip
        figure.update_xaxes(dtick=1)
        figure.update_yaxes(tickformat=".1f")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            "Unit: fraction; mean over the runs with the task in that place (hover for n), of "
            f"{plural(len(study.runs), 'run')}; no interval."
        )
