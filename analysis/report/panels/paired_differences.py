"""Every method against the baseline on the same orders."""

from html import escape

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.estimates import ROPE
from analysis.report import html_parts
from analysis.report.figure_style import INK, many, present
from analysis.report.html_tables import Cell, estimate, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.panels.methods_compared import verdict_cell
from analysis.report.report_frames import by_metric, group, rows
from analysis.report.run_clouds import clouds, rows_of
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import interval, listed

WIDENED = ", widened for the number of methods (Holm)"
EXPLAINED = (
    "Verdict: of the whole interval against differences that do not matter. p: of a difference "
    "that does not matter, t test over replicates after Holm's correction; below 0.05 exactly "
    "where the verdict is better or worse. Some verdict of the table is wrong in at most 5 % of "
    "studies. "
    "Better, equal, worse: number of pairs; win rate counts ties as one half."
)
"""What a table of verdicts shows."""


WORDS = ("better", "worse", "equivalent", "undecided", "not tested")
"""Verdicts, clear ones first."""


class PairedDifferences(Panel):
    """Shows average accuracy minus the baseline's on the same order and replicate."""

    key, title, table = "differences", "Paired differences", "differences"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns runs minus the baseline's run."""
        return study.pairs

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what a dot is."""
        return (
            f"Is a method better than {study.baseline_called}{report_text.of_its_study(study)} on "
            "the same order and replicate? Right of the line it is."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns clouds of dots, and a band of differences that do not matter."""
        groups = present(frame, study.groups)
        title = f"average {study.words.noun}, minus {study.looks.name(str(study.baseline))}"
        figure = rows_of(groups, title, many(frame), study.looks)
        figure.add_vrect(-ROPE, ROPE, fillcolor=INK, opacity=0.15, line_width=0)
        figure.add_vline(0, line={"color": INK, "width": 1, "dash": "dot"})
        return clouds(
            figure, study.dots(frame), study.judged, groups, study.looks, study.words.noun
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the verdicts, each with its methods."""
        judged = study.judged[study.judged["metric"] == "average_accuracy"]
        by_verdict: dict[str, list[str]] = {}
        for pair in study.groups:
            for row in rows(group(judged, *pair)):
                said = f"{study.called(*pair)} ({interval(row.mean, row.low, row.high, '+')})"
                by_verdict.setdefault(row.word, []).append(said)
        found = "; ".join(
            f"{word}: {listed(by_verdict[word])}" for word in WORDS if word in by_verdict
        )
        return f"Against {study.baseline_called}{report_text.of_its_study(study)}, {found}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the band is."""
        return (
            "Unit: difference of fractions; "
            f"{report_text.sample(study, study.judged, 'pair', WIDENED)}. Dot: one pair. "
            f"Grey band: up to {ROPE} either way, differences that do not matter."
            f"{study.looks.note}"
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of differences."""
        return comparison_table(study.judged, study) + html_parts.caption(
            f"{EXPLAINED}{report_text.sign_flips(study.judged)}", "comparison"
        )


def comparison_table(judged: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns every method against the one it is compared with, paired."""
    lines = []
    for pair in study.groups:
        row = by_metric(judged, *pair).get("average_accuracy")
        if row is not None:
            counts = (row.wins, row.ties, row.runs - row.wins - row.ties)
            rate = Cell(f"{row.win_rate:.0%}", str(row.win_rate))
            cells = [Cell(escape(study.looks.called(row.baseline)), css="text"), estimate(row, "+")]
            cells += [verdict_cell(row), number(row.p_verdict), number(row.replicates)]
            lines.append([name(study, *pair), *cells, *map(number, counts), rate])
    head = ["method", "minus", "difference", "verdict", "p", "replicates"]
    head += ["better", "equal", "worse", "win rate"]
    return table("Paired differences", head, lines, True)
