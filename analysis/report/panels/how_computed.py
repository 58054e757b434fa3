"""How the numbers come about."""

from html import escape

import pandas as pd

from analysis.report.html_tables import heading
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.report_text import methods_text


class HowComputed(Panel):
    """Shows the methods text and the formula of every metric."""

    key, title = "formulas", "How it is computed"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the runs whose metrics are explained."""
        return study.runs

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns False: it is looked up, not read."""
        return False

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns paragraphs and formulas."""
        text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in methods_text(study))
        listed = "".join(
            f"<dt>{heading(metric)}</dt><dd>{escape(metric.formula)}"
            f"{'' if metric.of == 'task' else f' Here i are the {metric.of} evaluations.'}</dd>"
            for metric in study.metrics.values()
        )
        return f'{text}<dl class="formulas">{listed}</dl>'
