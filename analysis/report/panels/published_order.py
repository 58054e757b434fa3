"""Where a published order lies among others."""

from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.data.final_scores import OrderScores
from analysis.orders.published import published_orders
from analysis.report import html_parts
from analysis.report.figure_style import INK, Looks, empty_figure, text
from analysis.report.html_tables import Cell, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import published_sentences


class PublishedOrder(Panel):
    """Shows published orders among those that are not, and whether they are outliers."""

    key, title, table = "published", "Is the published order an outlier?", "published_orders"
    chapter = "Orders"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns where every published order lies; nothing where there is none among others."""
        return published_orders(study.order_scores).query("orders > 0")

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the verdict."""
        said = published_sentences.verdicts(frame, study.order_scores)
        return " ".join([published_sentences.short_answer(frame), *said])

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a row per method: all orders, the published one, what the others predict."""
        scores = study.order_scores
        methods = list(dict.fromkeys(frame["method"]))
        several = len(methods) > 1
        figure = empty_figure(height=170 + 64 * len(methods))
        looks = Looks(scores.methods, told=scores.told)
        means = scores.means
        for row, method in enumerate(methods):
            part = means[means["method"] == method]
            others, mine = part[~part["published"]], part[part["published"]]
            _interval(figure, frame[frame["method"] == method].iloc[0], row)
            label = looks.name(method) if several else "one order"
            for dots, name, symbol, size in (
                (others, "another order", "circle", 9),
                (mine, "published order", "star", 17),
            ):
                figure.add_scatter(
                    x=dots["value"], y=[row] * len(dots), mode="markers+text",
                    name=name, legendgroup=name, showlegend=row == 0,
                    marker={"color": looks.colour(method), "symbol": symbol, "size": size,
                            "opacity": 0.85, "line": {"width": 1, "color": INK}},
                    text=[text(order) if name == "published order" else "" for order in
                          dots["order"]],
                    textposition="top center", cliponaxis=False,
                    hovertext=[escape(order) for order in dots["order"]],
                    hovertemplate=f"%{{hovertext}}<br>%{{x}}<extra>{label}</extra>",
                )  # fmt: skip
        figure.update_yaxes(
            tickvals=list(range(len(methods))),
            ticktext=[looks.name(method) if several else "" for method in methods],
            range=[len(methods) - 0.4, -0.7],
            showgrid=False,
        )
        ends = pd.concat([frame["low"], frame["high"], means["value"]]).dropna()
        room = 0.04 * (ends.max() - ends.min()) or 1
        figure.update_xaxes(
            title=text(scores.score, 60), range=[ends.min() - room, ends.max() + room]
        )
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what dot, line and bar are."""
        low, high = frame["orders"].min(), frame["orders"].max()
        count = f"{low}" if low == high else f"{low} to {high}"
        family = f" (family of {len(frame)}, Bonferroni)" if len(frame) > 1 else ""
        each = " per method" if frame["method"].nunique() > 1 else ""
        seeds = study.order_scores.means["seeds"].max()
        dot = "one order" if seeds == 1 else f"one order, mean over up to {seeds} seeds"
        return (
            f"Unit: {study.order_scores.score}; n = {count} other orders{each}. Dot: {dot}. "
            f"Star: published. Bar: 95 % prediction interval of one more order like the "
            f"others{family}; tick: their mean."
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table, and what the answer does not say."""
        scores = study.order_scores
        notes = [*published_sentences.unsaid(frame, scores), *scores.notes]
        listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in notes)
        return (
            _table(frame, scores)
            + html_parts.caption(EXPLAINED, self.table)
            + f"<h3>What this cannot say</h3><ul>{listed}</ul>"
        )


EXPLAINED = (
    "Away: distance from the mean of the other orders, in their SD. p: two-sided, of a score that "
    "far out on one more order, if scores of orders are normal: t with n - 1 degrees of freedom. "
    "p by rank: share of all orders, this one included, that lie at least as far from the rest; "
    "it assumes no law, and n other orders cannot give less than 1/(n + 1)."
)


def _interval(figure: go.Figure, row: Any, place: int) -> None:
    """Adds the mean of the other orders, and where the next one would lie."""
    common = {"showlegend": place == 0, "hoverinfo": "skip", "mode": "lines"}
    if pd.notna(row["low"]):
        figure.add_scatter(
            x=[row["low"], row["high"]], y=[place + 0.28] * 2, name="95 % prediction interval",
            legendgroup="interval", line={"color": INK, "width": 6}, opacity=0.45, **common,
        )  # fmt: skip
    figure.add_scatter(
        x=[row["mean"]] * 2, y=[place + 0.16, place + 0.4], name="mean of the others",
        legendgroup="mean", line={"color": INK, "width": 2}, **common,
    )  # fmt: skip


def _table(frame: pd.DataFrame, scores: OrderScores) -> str:
    d, looks = published_sentences.digits(scores), Looks(scores.methods, told=scores.told)
    head = ["method"] if len(scores.methods) > 1 else []
    head += ["published order", "its score", "other orders", "their mean", "their SD", "away"]
    head += ["next order (95 %)", "p", "rank", "p by rank", "outlier?"]
    lines = []
    for row in rows(frame):
        called = escape(looks.called(row.method))
        cells = [Cell(called, css="text")] if len(scores.methods) > 1 else []
        place = f"{row.low:.{d}f} to {row.high:.{d}f}" if pd.notna(row.low) else "&ndash;"
        cells += [
            Cell(escape(row.order), css="text"),
            _rounded(row.value, d),
            number(int(row.orders)),
            _rounded(row.mean, d),
            _rounded(row.sd, d + 1),
            Cell(f"{row.away:+.1f} SD", str(row.away)) if pd.notna(row.away) else Cell("&ndash;"),
            Cell(place, str(row.low)),
            _p(row.p),
            Cell(f"{row.rank} of {row.orders + 1}", str(row.rank)),
            _p(row.p_rank),
            Cell(published_sentences.WORDS[row.verdict], css="text"),
        ]
        lines.append(cells)
    return table("Published orders against the others", head, lines, sortable=len(lines) > 1)


def _rounded(value: float, digits: int) -> Cell:
    return Cell("&ndash;") if pd.isna(value) else Cell(f"{value:.{digits}f}", str(value))


def _p(value: float) -> Cell:
    if pd.isna(value):
        return Cell("&ndash;")
    return Cell("&lt; 0.001" if value < 0.001 else f"{value:.3f}", str(value))
