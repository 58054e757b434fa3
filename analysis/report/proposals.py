"""The part of the report on predictions: is the order that somebody foretold a good one?"""

from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.report import parts, tables
from analysis.report.figures import Groups, interval, label, many
from analysis.report.findings import plural
from analysis.report.frames import group, rows
from analysis.report.panels import present
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.report.style import INK, TEMPLATE, Looks, text
from analysis.report.tables import Cell, number

SHOWN = 12
"""Proposals in the table, the most remarkable ones first."""


def proposal_dots(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """How many of all orders are better than the one proposed as easiest, a panel per score."""
    easiest = found[found["proposal"] == "easiest"]
    scores, measures = (list(dict.fromkeys(easiest[name])) for name in ("score", "measure"))
    figure = make_subplots(
        1, len(scores), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[score.replace("_", " ") for score in scores],
    )  # fmt: skip
    height = 150 + 24 * len(measures)
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"t": 36},
        legend={"y": -50 / height, "yanchor": "top"},
    )
    looks = Looks(method for _, method in groups)
    for backbone, method in present(easiest, groups):
        part = group(easiest, backbone, method)
        for i, score in enumerate(scores):
            mine = part[part["score"] == score]
            figure.add_scatter(
                x=mine["better"], y=[text(measure) for measure in mine["measure"]], mode="markers",
                name=label(backbone, method, many(found)), legendgroup=f"{backbone} {method}",
                showlegend=i == 0, row=1, col=i + 1,
                marker={"color": looks.colour(method), "symbol": looks.symbol(method), "size": 8},
                text=[_about(row) for row in rows(mine)],
                hovertemplate=f"%{{text}}<extra>{text(method)}</extra>",
            )  # fmt: skip
    figure.add_vline(0.5, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_xaxes(range=[-0.04, 1.04], tickformat=".0%", title="orders that are better")
    figure.update_yaxes(autorange="reversed")
    return figure


def _about(row: Any) -> str:
    path = " > ".join(text(task, 16) for task in row.order)
    ties = f" (and {row.orders - 1} more)" if row.orders > 1 else ""
    return (
        f"{path}{ties}<br>average accuracy {row.value:.3f}, of all orders {row.mean:.3f} "
        f"({row.worst:.3f} to {row.best:.3f})<br>against a random order "
        f"{interval(row.gain, row.low, row.high, '+')}, p {row.p:.3f}"
    )


def proposal_table(study: Study) -> str:
    """The proposals that are least like chance, both ways."""
    head = ["method", "measure", "score", "proposed as", "accuracy", "regret", "against random"]
    head += ["better orders", "p", "p (all)", "r", "p (r)"]
    lines = [
        [
            tables.name(study, row.backbone, row.method),
            *(Cell(escape(str(word)), css="text") for word in (row.measure, row.score)),
            Cell(row.proposal, css="text"),
            *(number(value) for value in (row.value, row.regret)),
            Cell(interval(row.gain, row.low, row.high, "+"), str(row.gain)),
            Cell(f"{row.better:.0%}", str(row.better)),
            *(number(value) for value in (row.p, row.p_all, row.r, row.p_r)),
        ]
        for row in rows(study.regret.sort_values(["p_all", "p"], kind="stable").head(SHOWN))
    ]
    return tables.table(head, lines, sortable=True)


def section(study: Study) -> Section:
    """Figure and table; nothing for a study without all orders or without similarities."""
    found = study.regret
    if found.empty:
        return Section("proposals", "", "")
    about = (
        "Every score of every measure of similarity proposes the order that it calls easiest. Left "
        "of the dotted line it is better than a random order; at the left edge it is the best."
    )
    replicates, runs = found["replicates"].max(), found["runs"].max()
    caption = (
        f"Unit: share of all orders; n = {runs} runs per method, averaged over "
        f"{plural(int(replicates), 'replicate')}; no interval (of the gain: hover)."
    )
    body = parts.figure("proposals", "Was it foretold?", caption, "regret")
    body += proposal_table(study) + parts.caption(
        f"{min(SHOWN, len(found))} of {plural(len(found), 'proposal')}, the smallest p first. "
        "Regret: the best order's average accuracy minus the proposed one's. Against random: minus "
        "the mean of all orders, t interval over replicates. p: of orders as good, if the tasks "
        "were called otherwise; p (all): if all proposals are looked at. r: of score and accuracy.",
        "regret",
    )
    return Section("proposals", "Was it foretold?", parts.about(about) + body)
