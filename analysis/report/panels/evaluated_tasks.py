"""What is evaluated after every stage."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from analysis.report import html_parts
from analysis.report.html_tables import Cell, number, table
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics


class EvaluatedTasks(Panel):
    """Shows all tasks and probes, with the score of the untouched backbone."""

    key, title, table, section = "evaluations", "Tasks and probes", "evaluations", "setup"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what is evaluated."""
        return study.evaluations

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of evaluations."""
        backbones = list(frame.columns[4:])
        sizes = study.plan.get("tasks") or {}
        lines = [
            [
                Cell(escape(row["eval_task"]), css="text"),
                Cell(escape(row["split"]), css="text"),
                Cell(escape(row["metric"].replace("_", " ")), css="text"),
                *(_size(sizes, row, what) for what in ("train", "choices") if sizes),
                number(int(row["n"]) if pd.notna(row["n"]) and row["n"] else math.nan),
                *(number(row[backbone]) for backbone in backbones),
            ]
            for _, row in frame.iterrows()
        ]
        head = ["name", "kind", "metric", *(["train samples", "choices"] if sizes else [])]
        head += ["test samples", *(f"stage 0, {escape(backbone)}" for backbone in backbones)]
        caption = (
            "Unit: fraction; no interval. After every stage all of these are evaluated; "
            "stage 0 is the untouched backbone."
        )
        shown = table(self.title, head, lines) + html_parts.caption(caption, self.table)
        return f"<h4>{escape(self.title)}</h4>{shown}"


def _size(sizes: Mapping[str, Any], row: pd.Series, what: str) -> Cell:
    """Returns how many training samples or choices a task has, as far as the plan says."""
    task = sizes.get(row["eval_task"]) if row["split"] == "task" else None
    count = (task or {}).get(what)
    return number(math.nan if count is None else int(count))
