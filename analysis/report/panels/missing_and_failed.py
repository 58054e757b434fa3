"""Which runs are missing, and which stages failed."""

from html import escape

import pandas as pd

from analysis.report import html_parts
from analysis.report.html_tables import Cell, name, number, path, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import plural

MAX_FAILURES = 50
"""Failed stages shown on the page: enough to see what went wrong; the table holds all."""


class MissingAndFailed(Panel):
    """Shows how far replicates are that are not complete, and why."""

    key, title, table = "gaps", "Missing and failed", "progress"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns how far every replicate is."""
        return study.progress

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how many runs are missing."""
        runs = plural(len(study.results.runs), "planned run")
        if not study.num_incomplete:
            return f"All {runs} are complete; no stage is missing."
        return (
            f"{study.num_incomplete} of {runs} lack a stage and are left out of all "
            "statistics. Incomplete replicates:"
        )

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether anything is missing."""
        return study.num_incomplete > 0

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the tables of replicates and of failed stages."""
        if not study.num_incomplete:
            return ""
        shown = progress_table(frame, study) + html_parts.caption("Unit: runs.", self.table)
        failures = study.results.failures
        if len(failures):
            stages = plural(len(failures), "failed stage")
            shown += f"<h4>Failed stages</h4>{failures_table(study)}"
            shown += html_parts.caption(
                f"{min(MAX_FAILURES, len(failures))} of {stages}.", "failures"
            )
        return shown


def progress_table(frame: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns the replicates that are not complete."""
    lines = [
        [
            name(study, row.backbone, row.method),
            *(number(n) for n in (row.replicate, row.planned, row.complete, row.failed)),
        ]
        for row in rows(frame)
        if row.complete < row.planned
    ]
    head = ["method", "replicate", "planned runs", "complete", "with a failed stage"]
    return table("Replicates that are not complete", head, lines)


def failures_table(study: StudyStatistics) -> str:
    """Returns the first failed stages, each with its error."""
    lines = [
        [
            name(study, row.backbone, row.method),
            number(row.replicate),
            Cell(path(row.prefix) or "stage 0", css="order"),
            Cell(f"<code>{escape(str(row.error or 'no message'))}</code>", css="order"),
        ]
        for row in rows(study.results.failures.head(MAX_FAILURES))
    ]
    return table("Failed stages", ["method", "replicate", "stage", "error"], lines)
