"""Whether the orders that similarities propose are good ones."""

from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.intervals import LEVEL
from analysis.orders.predictors import order_scores, regret
from analysis.report import html_parts
from analysis.report.figure_style import INK, many, present, small_multiples, text
from analysis.report.html_tables import Cell, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval, plural

SHOWN = 12
"""Proposals in the table, the most remarkable ones first; the data hold all."""


class ProposedOrders(Panel):
    """Shows how many of all orders are better than the one proposed as easiest."""

    key, title, table = "proposals", "Do similarity scores predict good orders?", "regret"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what proposed orders are worth; nothing without all orders or similarities."""
        return regret(study.runs, order_scores(study.results))

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what left of the line means."""
        return (
            "Is the order that a score of similarity calls easiest a good one? Left of the dotted "
            "line it is better than a random order; at the left edge it is the best."
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the proposal that is least like chance, and whether it is beyond chance."""
        row = next(rows(frame.sort_values(["p_all", "p"], kind="stable").head(1)))
        beyond = int((frame["p_all"] < 1 - LEVEL).sum())
        count = f"{beyond or 'No'} of {len(frame)} proposals" if beyond else "No proposal"
        return (
            f"{count} {'is' if beyond < 2 else 'are'} better or worse than chance would make the "
            f"best of them; least like chance: {row.measure}, {row.score.replace('_', ' ')}, "
            f"{row.proposal} order with {study.called(row.backbone, row.method)} "
            f"({row.better:.0%} of all orders are better, p {row.p_all:.3f} for all proposals)."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot per score, with a dot per measure and method."""
        easiest = frame[frame["proposal"] == "easiest"]
        scores, measures = (list(dict.fromkeys(easiest[name])) for name in ("score", "measure"))
        figure, places = small_multiples(
            [score.replace("_", " ") for score in scores], row=50 + 24 * len(measures),
            x="share of all orders that are better", shared_yaxes=True, horizontal_spacing=0.04,
        )  # fmt: skip
        for backbone, method in present(easiest, study.groups):
            part = group(easiest, backbone, method)
            for i, score in enumerate(scores):
                mine = part[part["score"] == score]
                figure.add_scatter(
                    x=mine["better"], y=[text(measure) for measure in mine["measure"]],
                    mode="markers", name=study.looks.label(backbone, method, many(frame)),
                    legendgroup=f"{backbone} {method}", showlegend=i == 0, **places[i],
                    marker=study.looks.marker(method, backbone, 8),
                    text=[_fact(row, study.words.noun) for row in rows(mine)],
                    hovertemplate=f"%{{text}}<extra>{study.looks.name(method)}</extra>",
                )  # fmt: skip
        figure.add_vline(0.5, line={"color": INK, "width": 1, "dash": "dot"})
        figure.update_xaxes(range=[-0.04, 1.04], tickformat=".0%", tickvals=[0, 0.5, 1])
        figure.update_yaxes(autorange="reversed")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            f"Unit: share of all orders; n = {frame['runs'].max()} runs per method, averaged over "
            f"{plural(int(frame['replicates'].max()), 'replicate')}; no interval (of the gain: "
            "hover)."
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of proposals."""
        return proposal_table(frame, study) + html_parts.caption(
            f"{min(SHOWN, len(frame))} of {plural(len(frame), 'proposal')}, the smallest p first. "
            f"Regret: the best order's average {study.words.noun} minus the proposed one's. "
            "Against random: minus the mean of all orders, t interval over replicates. p: of "
            "orders as good, if the tasks were called otherwise; p (all): if all proposals are "
            f"looked at. r: of score and {study.words.noun}.",
            self.table,
        )


def proposal_table(frame: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns the proposals that are least like chance, both ways."""
    head = [
        "method",
        "measure",
        "score",
        "proposed as",
        study.words.noun,
        "regret",
        "against random",
    ]
    head += ["better orders", "p", "p (all)", "r", "p (r)"]
    lines = [
        [
            name(study, row.backbone, row.method),
            *(Cell(escape(str(word)), css="text") for word in (row.measure, row.score)),
            Cell(row.proposal, css="text"),
            *(number(value) for value in (row.value, row.regret)),
            Cell(interval(row.gain, row.low, row.high, "+"), str(row.gain)),
            Cell(f"{row.better:.0%}", str(row.better)),
            *(number(value) for value in (row.p, row.p_all, row.r, row.p_r)),
        ]
        for row in rows(frame.sort_values(["p_all", "p"], kind="stable").head(SHOWN))
    ]
    return table("Proposed orders", head, lines, sortable=True)


def _fact(row: Any, noun: str) -> str:
    path = " > ".join(text(task, 16) for task in row.order)
    ties = f" (and {row.orders - 1} more)" if row.orders > 1 else ""
    return (
        f"{path}{ties}<br>average {noun} {row.value:.3f}, of all orders {row.mean:.3f} "
        f"({row.worst:.3f} to {row.best:.3f})<br>against a random order "
        f"{interval(row.gain, row.low, row.high, '+')}, p {row.p:.3f}"
    )
