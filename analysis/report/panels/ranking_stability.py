"""How many replicates a ranking of methods takes."""

import pandas as pd
import plotly.graph_objects as go

from analysis.orders.ranking import DRAWS
from analysis.report.figure_style import INK, many, small_multiples, steps, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import row_with_most, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import plural


class RankingStability(Panel):
    """Shows how far two studies of a size rank the methods alike."""

    key, title, table = "stability", "Does the ranking hold?", "stability"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns agreement by number of replicates."""
        return study.stability

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question, and the answer where it is one number."""
        asked = "Would another study of the size of a part of this one rank the methods alike?"
        return asked if has_curve(frame) else f"{asked} {self.finding(frame, study)}"

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether there is a curve to look at."""
        return has_curve(frame)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure | None:
        """Returns two lines per backbone; None where only one size is known."""
        if not has_curve(frame):
            return None
        backbones = list(dict.fromkeys(frame["backbone"]))
        titles = [text(backbone) for backbone in backbones] if len(backbones) > 1 else [""]
        x, y = "replicates of each of two studies", "agreement of their rankings"
        figure, places = small_multiples(titles, row=260, x=x, y=y)
        lines = (("tau", "Kendall tau", "solid"), ("top_1", "same best", "dot"))
        for backbone, where in zip(backbones, places, strict=True):
            part = frame[frame["backbone"] == backbone]
            for column, what, dash in lines:
                figure.add_scatter(
                    x=part["k"], y=part[column], mode="lines+markers", name=what,
                    line={"color": INK, "dash": dash, "width": 2}, legendgroup=what,
                    marker={"symbol": "circle" if dash == "solid" else "circle-open", "size": 7},
                    showlegend=where is places[0], customdata=part["tau_low"],
                    hovertemplate="%{x} replicates each: %{y:.3f}" + (
                        ", 5 % of the pairs below %{customdata:.2f}" if column == "tau" else ""
                    ) + f"<extra>{what}</extra>", **where,
                )  # fmt: skip
        figure.update_xaxes(**steps(frame["k"]))
        # Rankings agree by chance with a tau around 0, in small studies also below it.
        lowest = min(0.0, float(frame[["tau", "top_1"]].min().min()))
        figure.update_yaxes(range=[lowest - 0.05, 1.05], tickformat=".1f", dtick=0.2)
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how far the largest parts agree."""
        said = []
        for backbone, part in frame.groupby("backbone"):
            last = row_with_most(part, "k")
            on = f" on {backbone}" if many(frame) else ""
            said.append(
                f"Two studies of {plural(int(last.k), 'replicate')} each{on} would rank the "
                f"methods with Kendall tau {last.tau:.2f} and have the same best method in "
                f"{last.top_1:.0%} of cases"
            )
        return f"{'. '.join(said)}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit, parts, and the agreement of single runs."""
        sizes = ", ".join(
            f"Kendall's W = {row.kendalls_w:.2f} of {plural(row.runs, 'run')} and {row.methods} "
            "methods"
            for row in rows(study.rankings)
        )
        return (
            "Unit: Kendall tau, and share of pairs; mean over pairs of disjoint parts of this "
            f"study ({DRAWS} random ones if there are more); no interval (5 % quantile: hover). "
            f"{sizes}.{report_text.ranked_together(study)}{report_text.counted(study)}"
        )


def has_curve(frame: pd.DataFrame) -> bool:
    """Returns whether more than one size is known."""
    return bool(frame["k"].nunique() > 1)
