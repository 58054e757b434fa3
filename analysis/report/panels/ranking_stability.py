"""How many replicates a ranking of methods takes."""

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
    """Shows how far two studies of a size rank the methods alike."""

    key, title, table = "stability", "Does the ranking hold?", "stability"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns agreement by number of replicates."""
        return study.stability

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "Would another study of the size of a part of this one rank the methods alike?"

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns two lines per backbone."""
        figure = empty_figure(height=360)
        for i, (backbone, part) in enumerate(frame.groupby("backbone")):
            name = f" ({text(str(backbone))})" if many(frame) else ""
            lines = (("tau", "Kendall tau", "solid"), ("top_1", "same best", "dot"))
            for column, what, dash in lines:
                figure.add_scatter(
                    x=part["k"], y=part[column], mode="lines+markers", name=what + name,
                    line={"color": COLOURS[i % len(COLOURS)], "dash": dash, "width": 2},
                    customdata=part["tau_low"],
                    hovertemplate="%{x} replicates each: %{y:.3f}" + (
                        ", 5 % of the pairs below %{customdata:.2f}" if column == "tau" else ""
                    ) + f"<extra>{what}</extra>",
                )  # fmt: skip
        figure.update_xaxes(title="replicates of each of two studies", dtick=1)
        # Rankings agree by chance with a tau around 0, in small studies also below it.
        figure.update_yaxes(title="agreement of their rankings", tickformat=".1f")
        return figure

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
            f"{sizes}.{report_text.counted(study)}"
        )
