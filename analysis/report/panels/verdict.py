"""The panel that says in sentences what the numbers say."""

import pandas as pd

from analysis.report.html_parts import emphasised
from analysis.report.panels.base import Panel
from analysis.report.sentences import findings
from analysis.report.study_statistics import StudyStatistics


class Verdict(Panel):
    """Shows the findings, one sentence each."""

    key, title = "findings", "Verdict"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the runs that the sentences are about."""
        return study.runs

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the list of sentences."""
        items = "".join(f"<li>{emphasised(sentence)}</li>" for sentence in findings(study))
        if frame.empty:
            items = (
                f"<li>No run is complete yet; what has been measured so far is below.</li>{items}"
            )
        return f"<ul>{items}</ul>"
