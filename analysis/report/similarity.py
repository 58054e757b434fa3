"""The part of the report on similarity: do orders of similar neighbours end better or worse?"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report import parts
from analysis.report.figures import Groups, interval, label, many
from analysis.report.findings import NOTHING
from analysis.report.frames import group, rows
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.report.style import INK, TEMPLATE, Looks, text


def order_scatter(
    runs: pd.DataFrame, scores: pd.DataFrame, found: pd.DataFrame, groups: Groups
) -> go.Figure:
    """Average accuracy against the similarity of neighbours, of methods that the order moves.

    Drawn is the study's first measure; `runs` have a column `place` (see `browser.places`).
    """
    figure = go.Figure(layout={"template": TEMPLATE, "height": 460})
    looks, measure = Looks(runs["method"]), scores["measure"].iloc[0]
    for backbone, method in groups:
        part = group(runs, backbone, method)
        if np.ptp(part["average_accuracy"]) < NOTHING:
            continue
        mine = scores[(scores["backbone"] == backbone) & (scores["measure"] == measure)]
        x = part["order"].map(mine.set_index("order")["value"])
        name = label(backbone, method, many(runs))
        figure.add_scatter(
            x=x, y=part["average_accuracy"], mode="markers", name=name, legendgroup=name,
            marker={"color": looks.colour(method), "symbol": looks.symbol(method), "size": 6,
                    "opacity": 0.7},
            customdata=list(part["place"]), meta="runs",
            hovertemplate="similarity %{x:.3f}, average accuracy %{y:.3f}<br>%{text}"
            "<extra></extra>",
        )  # fmt: skip
        slope = group(found[found["measure"] == measure], backbone, method)
        inside = x.groupby(part["replicate"]).transform(lambda v: v - v.mean())
        if len(slope) and np.isfinite(slope["slope"].iloc[0]):
            (row,) = rows(slope)
            per_unit = row.slope / inside.std(ddof=0)
            ends = np.array([x.min(), x.max()])
            figure.add_scatter(
                x=ends, y=part["average_accuracy"].mean() + per_unit * (ends - x.mean()),
                mode="lines", line={"color": looks.colour(method), "width": 2},
                legendgroup=name, showlegend=False, hoverinfo="text",
                hovertext=f"{name}: {interval(row.slope, row.low, row.high, '+')} "
                "per SD of similarity",
            )  # fmt: skip
    figure.update_xaxes(title=f"mean similarity of neighbours ({text(measure)})")
    figure.update_yaxes(title="average accuracy", tickformat=".2f")
    return figure


def pair_scatter(pairs: pd.DataFrame, found: pd.DataFrame, groups: Groups) -> go.Figure:
    """What learning one task does to another, against how similar the two are."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 420})
    measure = pairs["measure"].iloc[0]
    pairs, tests = (frame[frame["measure"] == measure] for frame in (pairs, found))
    looks = Looks(method for _, method in groups)
    for backbone, method in groups:
        part = group(pairs, backbone, method)
        if part.empty or part["contribution"].abs().max() < NOTHING:
            continue
        (test,) = rows(group(tests, backbone, method))
        known = f": r {test.r:+.2f}, p {test.p:.3f}" if np.isfinite(test.r) else ""
        figure.add_scatter(
            x=part["similarity"], y=part["contribution"], mode="markers",
            name=label(backbone, method, many(pairs)) + known,
            marker={"color": looks.colour(method), "symbol": looks.symbol(method), "size": 8},
            text=[f"learning {text(row.trained)}, accuracy on {text(row.task)}"
                  for row in rows(part)],
            hovertemplate="%{text}<br>similarity %{x:.3f}, contribution %{y:.3f}<extra></extra>",
        )  # fmt: skip
    figure.add_hline(0, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_xaxes(title=f"similarity of the two tasks ({text(measure)})")
    figure.update_yaxes(title="contribution of one to the other", tickformat=".2f")
    return figure


def section(study: Study) -> Section:
    """Both scatters; nothing for a study that has not measured similarity."""
    scores, pairs, found = study.adjacencies, study.similarity_pairs, study.similarity
    if scores.empty or pairs.empty:
        return Section("similarity", "", "")
    about = (
        "Left and right: orders whose neighbours differ, and orders whose neighbours are alike, "
        "as the untouched backbone sees the tasks. Below: pairs of tasks."
    )
    measure, others = scores["measure"].iloc[0], scores["measure"].nunique() - 1
    several = f" {others} more in the data." if others else ""
    replicates = found["replicates"].max()
    kind = (
        f"line: least squares inside replicates, first and last task held; its slope per SD of "
        f"similarity with a 95 % jackknife interval over {replicates:.0f} replicates (hover)"
        if np.isfinite(replicates)
        else "no line and no interval (they need two whole replicates)"
    )
    runs = int(pairs["runs"].max())
    by_order = (
        f"Unit: fraction against similarity, measure {measure}.{several} Dot: one run, n = {runs} "
        f"per method; {kind}. Methods that no order moves are left out."
    )
    by_pair = (
        f"Unit: fraction against similarity, measure {measure}.{several} Dot: one task's mean "
        f"effect on another, over n = {runs} runs; no interval. r and p: Mantel, over permutations "
        "of the tasks."
    )
    body = parts.figure("similarity", "Similar neighbours", by_order, "similarity")
    body += parts.figure("similar_pairs", "Similar pairs", by_pair, "similarity_pairs")
    return Section("similarity", "Similar neighbours", parts.about(about) + body)
