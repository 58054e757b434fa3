"""Whether methods differ on a published order as they do on others."""

from html import escape

import pandas as pd

from analysis.orders.published import methods_by_order
from analysis.report import html_parts
from analysis.report.html_tables import Cell, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import published_sentences


class MethodsByOrder(Panel):
    """Shows differences between methods, paired by order; only for results without matrices.

    Results with matrices have the comparisons that are paired by replicate as well.
    """

    key, table = "by_order", "methods_by_order"
    title = "Does the published order rank methods as the others do?"
    chapter = "Methods"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the differences of every two methods, on the published and on other orders."""
        return methods_by_order(study.order_scores)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns where the published order ranks methods otherwise."""
        several = len(study.order_scores.published) > 1
        return " ".join(published_sentences.differences(frame, several))

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of differences."""
        d = published_sentences.digits(study.order_scores)
        head = ["method", "minus", "other orders", "mean difference", "ahead"]
        head += ["published order", "difference there", "p"]
        lines = [
            [
                Cell(escape(row.method), css="text"),
                Cell(escape(row.baseline), css="text"),
                Cell(str(row.orders), str(row.orders)),
                Cell(_interval(row.mean, row.low, row.high, d), str(row.mean)),
                Cell(f"{row.ahead:.0%}", str(row.ahead)),
                Cell(escape(row.order), css="text"),
                Cell(f"{row.value:+.{d}f}", str(row.value)),
                Cell("&ndash;" if pd.isna(row.p) else f"{row.p:.3f}", str(row.p)),
            ]
            for row in rows(frame)
        ]
        caption = (
            f"Unit: {study.order_scores.score}; paired by order; 95 % t interval over orders, "
            "widened for the number of pairs (Bonferroni). Ahead: in which share of the other "
            "orders, ties one half. p: of a difference that far out on one more order."
        )
        shown = table(self.title, head, lines, sortable=True)
        return shown + html_parts.caption(caption, self.table)


def _interval(mean: float, low: float, high: float, digits: int) -> str:
    bounds = "" if pd.isna(low) else f"<small>[{low:+.{digits}f}, {high:+.{digits}f}]</small>"
    return f"{mean:+.{digits}f}{bounds}"
