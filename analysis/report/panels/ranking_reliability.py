"""Which size of study would tell methods apart."""

import pandas as pd
import plotly.graph_objects as go

from analysis.orders.variance import d_study
from analysis.report.figure_style import COLOURS, INK, empty_figure
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics


class RankingReliability(Panel):
    """Shows the reliability of the ranking by number of seeds, a line per number of orders."""

    key, title, table, section = "d_study", "Reliability by size", "d_study", "variance"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns how reliable other sizes of study would be."""
        return d_study(study.variance)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns lines for the first backbone, and this study's place among them."""
        figure = empty_figure(height=360)
        backbone = frame["backbone"].iloc[0]
        part = frame[frame["backbone"] == backbone]
        sizes = sorted(set(part["orders"]))
        now = part[part["current"]].iloc[0]
        shown = sorted({sizes[0], int(now["orders"]), sizes[-1]})
        for i, orders in enumerate(shown):
            line = part[part["orders"] == orders].sort_values("seeds")
            figure.add_scatter(
                x=line["seeds"], y=line["g"], mode="lines+markers",
                name=f"{orders} order{'s' * (orders > 1)} per seed",
                line={"color": COLOURS[i % len(COLOURS)]},
                customdata=line[["runs", "phi", "g_low", "g_high"]],
                hovertemplate="%{x} seeds: G = %{y:.3f} [%{customdata[2]:.3f}, "
                "%{customdata[3]:.3f}], Phi = %{customdata[1]:.3f}<br>"
                "%{customdata[0]} runs per method<extra></extra>",
            )  # fmt: skip
        figure.add_scatter(
            x=[now["seeds"]], y=[now["g"]], mode="markers", name="this study",
            marker={"symbol": "diamond", "size": 12, "color": INK},
            hovertemplate="this study: G = %{y:.3f}<extra></extra>",
        )  # fmt: skip
        figure.update_xaxes(title="seeds (replicates)")
        figure.update_yaxes(title="reliability of the ranking, G", range=[None, 1.01])
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what G is."""
        return (
            "Unit: G, the reliability of the ranking of methods, 0 to 1, from the table of methods "
            "x replicates; 95 % interval: hover. Orders that balance each other come in whole "
            "blocks, and there are not more than all."
        )
