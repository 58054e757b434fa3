"""Every method against the baseline on the same orders."""

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.estimates import ROPE
from analysis.report import html_parts, report_text
from analysis.report.figure_style import INK, many, present, text
from analysis.report.html_tables import Cell, estimate, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.panels.methods_compared import verdict_cell
from analysis.report.report_frames import by_metric
from analysis.report.run_clouds import clouds, rows_of
from analysis.report.study_statistics import StudyStatistics


class PairedDifferences(Panel):
    """Shows average accuracy minus the baseline's on the same order and replicate."""

    key, title, table = "differences", "Paired differences", "differences"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns runs minus the baseline's run."""
        return study.pairs

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what a dot is."""
        return (
            f"Each dot is a method minus {study.baseline} on the same order and "
            "replicate; right of the line the method is better."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns clouds of dots, and a band of differences that do not matter."""
        baseline, groups = str(study.baseline), present(frame, study.groups)
        title = f"average accuracy, minus {text(baseline)}"
        figure = rows_of(groups, title, many(frame))
        figure.add_vrect(-ROPE, ROPE, fillcolor=INK, opacity=0.15, line_width=0)
        figure.add_vline(0, line={"color": INK, "width": 1, "dash": "dot"})
        return clouds(figure, study.dots(frame), study.comparison, groups, baseline)

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the band is."""
        return (
            f"Unit: difference of fractions; {report_text.sample(study.comparison, 'pair')}. Grey "
            f"band: up to {ROPE} either way, differences that do not matter."
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of differences."""
        return comparison_table(study) + html_parts.caption(
            "Verdict: of the whole interval against the grey band. P(equivalent): that the mean "
            "difference lies inside it. p: of no difference, over replicates, corrected for the "
            "number of methods (Holm; exact joint sign flips). Better, equal, worse: number of "
            "pairs; win rate counts ties as one half.",
            "comparison",
        )


def comparison_table(study: StudyStatistics) -> str:
    """Returns every method against the baseline, paired."""
    lines = []
    for pair in study.groups:
        row = by_metric(study.comparison, *pair).get("average_accuracy")
        if row is not None:
            counts = (row.wins, row.ties, row.runs - row.wins - row.ties)
            rate = Cell(f"{row.win_rate:.0%}", str(row.win_rate))
            p = [number(row.p_holm), number(row.p_max_t)]
            cells = [estimate(row, "+"), verdict_cell(row), number(row.p_rope), *p]
            lines.append([name(study, *pair), *cells, *map(number, counts), rate])
    head = ["method", "difference", "verdict", "P(equivalent)", "p (Holm)", "p (max-T)"]
    return table([*head, "better", "equal", "worse", "win rate"], lines, True)
