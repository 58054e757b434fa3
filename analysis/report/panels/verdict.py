"""The panel that answers the questions of a reader."""

from html import escape

import pandas as pd

from analysis.report import html_parts
from analysis.report.html_parts import emphasised
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.answers import answers_of, as_table, said_in
from analysis.report.text.sentences import findings
from analysis.report.text.subject import Answer


class Verdict(Panel):
    """Shows a sentence per question, and all findings behind a click."""

    key, title, table = "findings", "Answer", "answers"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the answers."""
        return as_table(answers_of(study))

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the answers, and the list of findings."""
        said = said_in(frame)
        several = len({answer.about for answer in said}) > 1
        parts = []
        for i, answer in enumerate(said):
            if several and (i == 0 or said[i - 1].about != answer.about):
                parts.append(f"<h4>{escape(answer.about)}</h4>")
            parts.append(_answered(answer, "h5" if several else "h4"))
        items = "".join(f"<li>{emphasised(sentence)}</li>" for sentence in findings(study))
        if study.runs.empty:
            items = (
                f"<li>No run is complete yet; what has been measured so far is below.</li>{items}"
            )
        return "".join(parts) + html_parts.details("All findings", f"<ul>{items}</ul>")


def _answered(answer: Answer, heading: str) -> str:
    more = "".join(f"<li>{emphasised(sentence)}</li>" for sentence in answer.detail)
    return (
        f'<div class="answer"><{heading}>{escape(answer.question)}</{heading}>'
        f'<p><strong class="word">{escape(answer.word)}.</strong> {emphasised(answer.sentence)}</p>'
        f"{f'<ul>{more}</ul>' if more else ''}</div>"
    )
