"""What the position of a task in the order does to it."""

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.task_contributions import profiles
from analysis.report.figure_style import many, present, small_multiples, steps, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import listed, plural


class PositionProfiles(Panel):
    """Shows final accuracy on every task by its position in the order, one plot per task."""

    key, title, table = "positions", "Positions", "profiles"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what a task gains and loses by its position."""
        return profiles(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "Is a task better learnt early or late?"

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method."""
        tasks = sorted(set(frame["task"]))
        figure, places = small_multiples(
            [text(task, 22) for task in tasks], row=170, x="position of the task in the order",
            y=f"{study.words.noun} on it at the end", shared_yaxes="all",
        )  # fmt: skip
        for backbone, method in present(frame, study.groups):
            part = group(frame, backbone, method)
            for place, task in enumerate(tasks):
                mine = part[part["task"] == task]
                figure.add_scatter(
                    x=mine["position"], y=mine["final"], mode="lines+markers",
                    name=study.looks.label(backbone, method, many(frame)),
                    legendgroup=f"{backbone} {method}",
                    showlegend=place == 0, **places[place],
                    line=study.looks.line(method), marker=study.looks.marker(method, backbone),
                    customdata=mine[["gain", "lost", "runs"]].to_numpy(),
                    hovertemplate=f"{text(task)} in place %{{x}}: %{{y:.3f}} in the end<br>gained "
                    "%{customdata[0]:.3f}, lost since %{customdata[1]:.3f}, %{customdata[2]} runs"
                    f"<extra>{study.looks.name(method)}</extra>",
                )  # fmt: skip
        figure.update_xaxes(**steps(frame["position"]))
        figure.update_yaxes(tickformat=".2f")
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what learning a task last rather than first is worth, by method."""
        found = []
        for pair in present(frame, study.moved_groups):
            final = group(frame, *pair).pivot(index="task", columns="position", values="final")
            worth = (final[final.columns.max()] - final[final.columns.min()]).mean()
            if pd.notna(worth):
                found.append((worth, study.called(*pair)))
        if not found:
            return "No method is moved by the position of a task."
        said = listed([f"{worth:+z.3f} with {name}" for worth, name in sorted(found)[::-1]])
        return f"A task learnt last rather than first ends higher by {said} (mean over tasks)."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            "Unit: fraction; mean over the runs with the task in that place (hover for n), of "
            f"{plural(len(study.runs), 'run')}; no interval.{study.looks.note}"
        )
