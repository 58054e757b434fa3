"""Which size of study would tell methods apart."""

import pandas as pd
import plotly.graph_objects as go

from analysis.orders.variance import d_study
from analysis.report.figure_style import INK, many, small_multiples, steps, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import interval, plural

LINES = (("dot", "circle-open"), ("solid", "circle"), ("dash", "square-open"))
"""Dash and symbol by number of orders: fewest, this study's, most."""


class RankingReliability(Panel):
    """Shows the reliability of the ranking by number of seeds, a line per number of orders."""

    key, title, table, section = "d_study", "Reliability by size", "d_study", "variance"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns how reliable other sizes of study would be."""
        return d_study(study.variance)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot per backbone: lines by number of orders, and this study among them."""
        backbones = list(dict.fromkeys(frame["backbone"]))
        titles = [text(backbone) for backbone in backbones] if len(backbones) > 1 else [""]
        x, y = "seeds (replicates)", "reliability of the ranking, G"
        figure, places = small_multiples(titles, row=260, x=x, y=y)
        for backbone, where in zip(backbones, places, strict=True):
            part = frame[frame["backbone"] == backbone]
            now = part[part["current"]].iloc[0]
            for orders, (dash, symbol) in zip(_sizes(part), LINES, strict=False):
                line = part[part["orders"] == orders].sort_values("seeds")
                figure.add_scatter(
                    x=line["seeds"], y=line["g"], mode="lines+markers",
                    name=f"{plural(orders, 'order')} per seed",
                    line={"color": INK, "dash": dash, "width": 1.5},
                    marker={"color": INK, "symbol": symbol, "size": 7},
                    customdata=line[["runs", "phi", "g_low", "g_high"]],
                    hovertemplate="%{x} seeds: G = %{y:.3f} [%{customdata[2]:.3f}, "
                    "%{customdata[3]:.3f}], Phi = %{customdata[1]:.3f}<br>"
                    "%{customdata[0]} runs per method<extra></extra>",
                    showlegend=where is places[0], **where,
                )  # fmt: skip
            figure.add_scatter(
                x=[now["seeds"]], y=[now["g"]], mode="markers", name="this study, 95 % interval",
                marker={"symbol": "diamond", "size": 13, "color": INK},
                error_y={"array": [now["g_high"] - now["g"]],
                         "arrayminus": [now["g"] - now["g_low"]], "color": INK, "thickness": 1.5},
                hovertemplate="this study: G = %{y:.3f}<extra></extra>",
                showlegend=where is places[0], **where,
            )  # fmt: skip
        figure.update_yaxes(range=[max(0, frame[["g", "g_low"]].min().min() - 0.05), 1.02])
        figure.update_yaxes(tickformat=".2f")
        figure.update_xaxes(**steps(frame["seeds"], most=7))
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the reliability of this study, and of the next larger ones."""
        said = []
        for backbone, part in frame.groupby("backbone"):
            now = next(rows(part[part["current"]]))
            on = f" on {backbone}" if many(frame) else ""
            size = f"{plural(int(now.seeds), 'seed')} and {plural(int(now.orders), 'order')} each"
            said.append(f"With {size}{on}, G is {interval(now.g, now.g_low, now.g_high)}")
            more = part[(part["orders"] == now.orders) & (part["seeds"] > now.seeds)]
            if len(more):
                next_size = next(rows(more.sort_values("seeds").head(1)))
                said[-1] += f"; with {plural(int(next_size.seeds), 'seed')}, {next_size.g:.3f}"
        return f"{'. '.join(said)}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what G is."""
        return (
            "Unit: G, the reliability of the ranking of methods, 0 to 1, from the table of methods "
            "x replicates; 95 % interval: hover. Orders that balance each other come in whole "
            f"blocks, and there are not more than all.{report_text.ranked_together(study)}"
        )


def _sizes(part: pd.DataFrame) -> list[int]:
    """Returns three numbers of orders: the least, this study's, the most."""
    orders, now = part["orders"], part.loc[part["current"], "orders"].iloc[0]
    return sorted({int(orders.min()), int(now), int(orders.max())})
