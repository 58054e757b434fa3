"""Methods that several studies hold, against one another on the same orders."""

import pandas as pd

from analysis.report import html_parts
from analysis.report.panels.base import Panel
from analysis.report.panels.paired_differences import EXPLAINED, WIDENED, comparison_table
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.verdict_sentences import between_studies


class BetweenStudies(Panel):
    """Shows a method of a later study minus that of the same name in an earlier one."""

    key, title, table = "between", "Between studies", "between_studies"
    chapter = "Answer"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the comparison; nothing unless studies have runs in common."""
        return study.between

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the verdicts."""
        several = frame["backbone"].nunique() > 1
        said = [
            (f"{backbone}: " if several else "") + between_studies(study, part)
            for backbone, part in study.between_judged.groupby("backbone")
        ]
        return f"The study given later minus the one given earlier. {' '.join(said)}".replace(
            "**", ""
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of differences."""
        judged = study.between_judged
        caption = (
            f"Unit: difference of fractions; {report_text.sample(study, judged, 'pair', WIDENED)}. "
            f"{EXPLAINED}{report_text.sign_flips(judged)}"
        )
        return comparison_table(judged, study) + html_parts.caption(caption, self.table)
