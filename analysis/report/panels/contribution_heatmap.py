"""What learning one task does to another."""

import pandas as pd
import plotly.graph_objects as go

from analysis.report import html_parts, report_text
from analysis.report.figure_style import DIVERGING, empty_figure, label, labels, many, present, text
from analysis.report.panels.base import Panel
from analysis.report.panels.robust_contributions import pair_fact
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics


class ContributionHeatmap(Panel):
    """Shows what learning the task of a row does to that of a column; one trace per method."""

    key, title, table = "contributions", "Contributions of tasks", "contributions"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the gain contributions of all pairs of tasks."""
        return study.contributions

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how to read rows and columns."""
        return (
            "What the stage that learns a task adds to the accuracy on each task, averaged over "
            "orders; a column adds up to all that its task has gained in the end."
        )

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of a method."""
        shown = labels(present(frame, study.baseline_first))
        return html_parts.select("contribution-traces", "method", shown, traces=self.key)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns heat maps, of which the first is visible."""
        groups, num = present(frame, study.baseline_first), frame["task"].nunique()
        figure = empty_figure(height=160 + 44 * num)
        limit = float(frame["mean"].abs().max())
        for i, (backbone, method) in enumerate(groups):
            part = group(frame, backbone, method)
            tasks = sorted(set(part["task"]))
            part = part.assign(fact=[pair_fact(row) for row in rows(part)])
            wide = part.set_index(["trained", "task"])
            names = [text(task, 16) for task in tasks]
            figure.add_heatmap(
                z=[[wide.loc[(j, i), "mean"] for i in tasks] for j in tasks],
                text=[[wide.loc[(j, i), "fact"] for i in tasks] for j in tasks],
                x=names, y=names, zmin=-limit, zmax=limit, colorscale=DIVERGING, xgap=2, ygap=2,
                hovertemplate="%{text}<extra></extra>",
                texttemplate="%{z:.3f}" if num <= 12 else "",
                colorbar={"thickness": 12, "tickformat": ".2f"},
                name=label(backbone, method, many(frame)), visible=i == 0,
            )  # fmt: skip
        figure.update_xaxes(title="accuracy on", showgrid=False)
        figure.update_yaxes(title="learning", autorange="reversed", showgrid=False)
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return f"Unit: fraction; {report_text.sample(study.summary)} (hover)."
