"""What studies differ in, before their results are compared."""

from html import escape

import pandas as pd

from analysis.report import html_parts
from analysis.report.html_tables import Cell, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_settings import differing_settings, pairing
from analysis.report.study_statistics import StudyStatistics


class ComparedStudies(Panel):
    """Shows the settings in which several studies differ, and no others."""

    key, title, table = "settings", "What differs between the studies", "settings"
    chapter = "Answer"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the keys of study.yaml that differ; nothing for a single study."""
        return differing_settings(study.configs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which runs are paired, and what is not comparable."""
        said = ["All other settings are the same.", *study.apart, pairing(study)]
        return " ".join(sentence for sentence in said if sentence)

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of settings."""
        head = [escape(str(column)) for column in frame.columns]
        lines = [[Cell(escape(cell), css="text") for cell in row] for row in rows(frame)]
        caption = "Settings of study.yaml that differ; - where a study has none."
        return table(self.title, head, lines) + html_parts.caption(caption, self.table)
