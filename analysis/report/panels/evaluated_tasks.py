"""What is evaluated after every stage."""

import math
from html import escape

import pandas as pd

from analysis.report import html_parts
from analysis.report.html_tables import Cell, number, table
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics


class EvaluatedTasks(Panel):
    """Shows all tasks and probes, with the score of the untouched backbone."""

    key, title, table = "evaluations", "Tasks and probes", "evaluations"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what is evaluated."""
        return study.evaluations

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns when it is evaluated."""
        return "After every stage the model is evaluated on all of these."

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of evaluations."""
        backbones = list(frame.columns[4:])
        lines = [
            [
                Cell(escape(row["eval_task"]), css="text"),
                Cell(escape(row["split"]), css="text"),
                Cell(escape(row["metric"].replace("_", " ")), css="text"),
                number(int(row["n"]) if pd.notna(row["n"]) and row["n"] else math.nan),
                *(number(row[backbone]) for backbone in backbones),
            ]
            for _, row in frame.iterrows()
        ]
        head = ["name", "kind", "metric", "test samples"]
        head += [f"stage 0, {escape(backbone)}" for backbone in backbones]
        return table(head, lines) + html_parts.caption("Unit: fraction; no interval.", self.table)
