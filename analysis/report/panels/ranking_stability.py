"""How many orders a ranking of methods takes."""

import pandas as pd
import plotly.graph_objects as go

from analysis.orders.ranking import DRAWS
from analysis.report import report_text
from analysis.report.figure_style import COLOURS, empty_figure, many, text
from analysis.report.panels.base import Panel
from analysis.report.phrases import plural
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics


class RankingStability(Panel):
    """Shows how soon the ranking of the methods is the one that all runs give."""

    key, title, table = "stability", "Does the ranking hold?", "stability"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns agreement by number of runs."""
        return study.stability

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "Had the study had only a few runs: would its ranking of the methods be the same?"

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns two lines per backbone."""
        figure = empty_figure(height=360)
        for i, (backbone, part) in enumerate(frame.groupby("backbone")):
            name = f" ({text(str(backbone))})" if many(frame) else ""
            lines = (("tau", "Kendall tau", "solid"), ("top_1", "same best", "dot"))
            for column, what, dash in lines:
                figure.add_scatter(
                    x=part["k"], y=part[column], mode="lines", name=what + name,
                    line={"color": COLOURS[i % len(COLOURS)], "dash": dash, "width": 2},
                    customdata=part["tau_low"],
                    hovertemplate="%{x} runs per method: %{y:.3f}" + (
                        ", 5 % of the draws below %{customdata:.2f}" if column == "tau" else ""
                    ) + f"<extra>{what}</extra>",
                )  # fmt: skip
        figure.update_xaxes(title="runs per method that a study had", type="log", dtick="D2")
        figure.update_yaxes(title="agreement with all runs", tickformat=".1f", range=[-0.05, 1.05])
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit, draws, and the agreement of single runs."""
        sizes = ", ".join(
            f"Kendall's W = {row.kendalls_w:.2f} of {plural(row.runs, 'run')} and {row.methods} "
            "methods"
            for row in rows(study.rankings)
        )
        return (
            f"Unit: Kendall tau, and share of draws; mean over {DRAWS} random sequences of the "
            f"runs; no interval (5 % quantile: hover). {sizes}.{report_text.counted(study)}"
        )
