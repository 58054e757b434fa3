"""What learning one task does to another, and which of these effects are decided."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.report import html_parts
from analysis.report.figure_style import (
    DIVERGING,
    MOST_NUMBERED,
    Groups,
    empty_figure,
    many,
    present,
    text,
)
from analysis.report.panels.base import Panel
from analysis.report.panels.robust_contributions import effects_on_others, pair_fact
from analysis.report.report_frames import group, row_with_most, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import NOTHING, interval


class ContributionHeatmap(Panel):
    """Shows what learning the task of a row does to that of a column; one trace per method."""

    key, title, table = "contributions", "Contributions of tasks", "contributions"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the gain contributions of all pairs of tasks, see `report_frames.decided`."""
        return study.contributions

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how to read rows and columns."""
        return (
            f"What does learning the task of a row do to the {study.words.noun} on that of a "
            "column? "
            "Bold "
            "effects on another task are decided; ~ marks those that the order moves more than "
            "they amount to."
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the largest effect on another task, and how many are decided."""
        others = effects_on_others(frame)
        if others.empty:
            return f"Learning a task changes the {study.words.noun} on no other."
        best = others[others["decided"]] if others["decided"].any() else others
        row = row_with_most(best.assign(size=best["mean"].abs()), "size")
        does = "helps" if row.mean > 0 else "harms"
        name, value = study.called(row.backbone, row.method), (row.mean, row.low, row.high)
        said = f"Learning {row.trained} {does} {row.task} most, with {name}: "
        said += interval(*value, "+")
        if frame["p_holm"].isna().all():
            return f"{said}; one replicate decides nothing."
        count = int(others["decided"].sum())
        if not count:
            return f"{said}; none of {len(others)} effects on other tasks is decided."
        of_all = f"{count} of {len(others)} effects on other tasks"
        return f"{said}; {of_all} {'is' if count == 1 else 'are'} decided."

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of a method."""
        shown = study.looks.labels(moved_by_learning(frame, study.baseline_first))
        return html_parts.select("contribution-traces", "method", shown, traces=self.key)

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns the methods."""
        groups = moved_by_learning(frame, study.baseline_first)
        return [{"backbone": backbone, "method": method} for backbone, method in groups]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns heat maps, of which the first is visible."""
        groups = moved_by_learning(frame, study.baseline_first)
        num = frame["task"].nunique()
        figure = empty_figure(height=160 + 44 * num)
        others = frame.loc[frame["trained"] != frame["task"], "mean"].abs()
        limit = max(float(others.max()) if len(others) else 1.0, NOTHING)
        for i, (backbone, method) in enumerate(groups):
            part = group(frame, backbone, method)
            tasks = sorted(set(part["task"]))
            part = part.assign(
                fact=[pair_fact(row, study.words.noun) for row in rows(part)],
                shown=[_short(row) for row in rows(part)],
            )
            wide = part.set_index(["trained", "task"])
            names = [text(task, 16) for task in tasks]
            figure.add_heatmap(
                z=[[wide.loc[(j, i), "mean"] for i in tasks] for j in tasks],
                customdata=[[wide.loc[(j, i), "fact"] for i in tasks] for j in tasks],
                text=[[wide.loc[(j, i), "shown"] for i in tasks] for j in tasks],
                x=names, y=names, zmin=-limit, zmax=limit, colorscale=DIVERGING, xgap=2, ygap=2,
                hovertemplate="%{customdata}<extra></extra>",
                texttemplate="%{text}" if num <= MOST_NUMBERED else "",
                colorbar={"thickness": 12, "tickformat": ".2f"},
                name=study.looks.label(backbone, method, many(frame)), visible=i == 0,
            )  # fmt: skip
        figure.update_xaxes(title=f"{study.words.noun} on", showgrid=False)
        figure.update_yaxes(title="learning", autorange="reversed", showgrid=False)
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: fraction; {report_text.sample(study)} (hover). Bold: the effect on "
            "another task differs from 0 (t test over replicates, Holm over all pairs of two "
            "tasks of a method). ~: mean below the SD over orders. A column adds up to all that "
            "its task has gained in the end; colours end at the largest effect on another task."
        )


def moved_by_learning(frame: pd.DataFrame, groups: Groups) -> Groups:
    """Returns the methods that learn anything: the others' contributions are all 0."""
    learning = frame[frame["mean"].abs() >= NOTHING]
    return present(learning, groups) or present(frame, groups)[:1]


def _short(row: Any) -> str:
    """Returns the number in a cell."""
    if row.trained != row.task and row.decided:
        return f"<b>{row.mean:z.3f}</b>"
    return f"{'~' if abs(row.mean) < row.order_sd else ''}{row.mean:z.3f}"
