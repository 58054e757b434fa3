"""The worst and the best orders of every method, each with its command."""

from html import escape

import pandas as pd

from analysis.report import html_parts
from analysis.report.html_tables import Cell, name, number, path, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text


class WorstAndBest(Panel):
    """Shows the runs that end worst and best."""

    key, title, table = "extremes", "Worst and best orders", "extremes"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the worst and the best runs."""
        return study.extremes

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns where the commands work."""
        if study.results.folder is None:
            return (
                "Which orders break a method, and which suit it? The commands that train these "
                "runs again are in the reports of the single studies."
            )
        return (
            "Which orders break a method, and which suit it? The command trains a run again; start "
            "it in the folder of this report."
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of runs."""
        caption = f"Unit: fraction; single runs, no interval.{report_text.left_out(study)}"
        first, others = frame[frame["rank"] == 1], frame[frame["rank"] > 1]
        shown = extremes_table(first, study) + html_parts.caption(caption, self.table)
        if others.empty:
            return shown
        more = html_parts.details(f"The next {len(others)}", extremes_table(others, study))
        return shown + more


def extremes_table(frame: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns one row per run."""
    lines = [
        [
            name(study, row.backbone, row.method),
            Cell(f"{row.which} {row.rank}", css="text"),
            Cell(f"{path(row.order)}{_command(row.command, row.place)}", css="order"),
            number(row.average_accuracy),
            number(row.forgetting_max),
            number(row.replicate),
        ]
        for pair in study.groups
        for row in rows(group(study.placed(frame), *pair))
    ]
    head = [
        "method",
        "",
        "order, and how to train it again",
        f"average {study.words.noun}",
        "forgetting",
        "replicate",
    ]
    return table("Worst and best orders", head, lines)


def _command(command: str, place: int) -> str:
    mark = f'<button class="mark" data-place="{place}">show in all figures</button>'
    if not command:
        return f"<br>{mark}"
    shown = escape(command)
    copy = f'<button class="copy" data-text="{shown}">copy</button>'
    return f"<br><code>{shown}</code> {copy} {mark}"
