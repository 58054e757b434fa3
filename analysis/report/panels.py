"""Figures of task pairs, positions, rankings and variance: drawn from frames, nothing computed."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figures import Groups, interval, label, many
from analysis.report.frames import group, rows
from analysis.report.style import COLOURS, DIVERGING, INK, TEMPLATE, Looks, small_multiples, text

EFFECTS = {
    "method": "method",
    "order": "order",
    "seed": "seed",
    "seed:order": "order (in its seed)",
    "method:order": "method x order",
    "method:seed": "method x seed",
    "method:seed:order": "method x order, and noise",
}
"""How the sources of variance are called; the last one names what is left."""


def contribution_heatmap(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """What learning the task of a row does to that of a column; one trace per method."""
    groups = present(found, groups)
    num = found["task"].nunique()
    figure = _figure(height=160 + 44 * num)
    limit = float(found["mean"].abs().max())
    for i, (backbone, method) in enumerate(groups):
        part = group(found, backbone, method)
        tasks = sorted(set(part["task"]))
        part = part.assign(fact=[_pair(row) for row in rows(part)])
        wide = part.set_index(["trained", "task"])
        names = [text(task, 16) for task in tasks]
        figure.add_heatmap(
            z=[[wide.loc[(j, i), "mean"] for i in tasks] for j in tasks],
            text=[[wide.loc[(j, i), "fact"] for i in tasks] for j in tasks],
            x=names, y=names, zmin=-limit, zmax=limit, colorscale=DIVERGING, xgap=2, ygap=2,
            hovertemplate="%{text}<extra></extra>",
            texttemplate="%{z:.3f}" if num <= 12 else "",
            colorbar={"thickness": 12, "tickformat": ".2f"},
            name=label(backbone, method, many(found)), visible=i == 0,
        )  # fmt: skip
    figure.update_xaxes(title="accuracy on", showgrid=False)
    figure.update_yaxes(title="learning", autorange="reversed", showgrid=False)
    return figure


def _pair(row: Any) -> str:
    if row.trained == row.task:
        sides = ""
    else:
        sides = f"<br>before it {row.before:z.3f} (transfer), after it {row.after:z.3f}"
    return (
        f"learning {text(row.trained)}, accuracy on {text(row.task)}:<br>"
        f"{interval(row.mean, row.low, row.high)}, SD over orders {row.order_sd:.3f}{sides}<br>"
        f"helps minus harms {row.sign:+.0%} of {row.runs} runs, worst twentieth {row.q05:z.3f}"
    )


def robustness_scatter(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """Mean contribution against its SD over orders, a dot per pair of tasks."""
    figure = _figure(height=460)
    looks = Looks(method for _, method in groups)
    pairs = found[found["trained"] != found["task"]]
    for backbone, method in present(pairs, groups):
        part = group(pairs, backbone, method)
        figure.add_scatter(
            x=part["mean"],
            y=part["order_sd"],
            mode="markers",
            name=label(backbone, method, many(found)),
            marker={"color": looks.colour(method), "symbol": looks.symbol(method), "size": 8},
            text=[_pair(row) for row in rows(part)],
            hovertemplate="%{text}<extra></extra>",
        )
    reach = 1.08 * float(max(pairs["mean"].abs().max(), 1e-3))
    top = 1.15 * float(max(pairs["order_sd"].max(), 1e-3))
    for side in (-1, 1):
        figure.add_scatter(
            x=[0, side * reach], y=[0, reach], mode="lines", showlegend=False, hoverinfo="skip",
            line={"color": INK, "width": 1, "dash": "dot"},
        )  # fmt: skip
    for x, y, note in (
        (-reach, 0.02 * top, "reliable harm"),
        (reach, 0.02 * top, "reliable help"),
        (0, 0.97 * top, "the order decides"),
    ):
        figure.add_annotation(
            x=x, y=y, text=note, showarrow=False, font={"color": INK},
            xanchor="left" if x < 0 else "right" if x else "center",
        )  # fmt: skip
    figure.update_xaxes(title="mean contribution to the other task", range=[-reach, reach])
    figure.update_yaxes(title="SD over orders", range=[0, top])
    return figure


def position_profiles(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """Final accuracy on every task by its position in the order, a panel per task."""
    tasks = sorted(set(found["task"]))
    figure, places = small_multiples(
        [text(task, 22) for task in tasks], row=190, head=90, gap=22.5,
        shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.04,
    )  # fmt: skip
    looks = Looks(method for _, method in groups)
    for backbone, method in present(found, groups):
        part = group(found, backbone, method)
        for place, task in enumerate(tasks):
            mine = part[part["task"] == task]
            figure.add_scatter(
                x=mine["position"], y=mine["final"], mode="lines+markers",
                name=label(backbone, method, many(found)), legendgroup=f"{backbone} {method}",
                showlegend=place == 0, **places[place],
                line={"color": looks.colour(method), "width": 1.5},
                marker={"symbol": looks.symbol(method), "size": 6},
                customdata=mine[["gain", "lost", "runs"]].to_numpy(),
                hovertemplate=f"{text(task)} in place %{{x}}: %{{y:.3f}} in the end<br>gained "
                "%{customdata[0]:.3f}, lost since %{customdata[1]:.3f}, %{customdata[2]} runs"
                f"<extra>{text(method)}</extra>",
            )  # fmt: skip
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(tickformat=".1f")
    return figure


def order_model_bars(found: pd.DataFrame, groups: Groups) -> go.Figure:
    """Out-of-sample R2 of every model of the order, a group of bars per method."""
    groups = present(found, groups)
    figure = _figure(height=110 + 62 * len(groups), barmode="group")
    for i, model in enumerate(dict.fromkeys(found["model"])):
        shown = pd.concat([group(found, *pair) for pair in groups])
        shown = shown[shown["model"] == model]
        figure.add_bar(
            y=[label(row.backbone, row.method, many(found), "<br>") for row in rows(shown)],
            x=shown["r2"].clip(lower=-0.1),
            orientation="h",
            name=model,
            marker={"color": COLOURS[i % len(COLOURS)]},
            text=[f"best: {_path(row.best_order)}<br>worst: {_path(row.worst_order)}"
                  for row in rows(shown)],
            textposition="none",
            customdata=shown["r2"],
            hovertemplate=f"{model}: R2 %{{customdata:.3f}}<br>predicted %{{text}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="share of the variance explained", tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    return figure


def _path(order: tuple[str, ...] | None) -> str:
    return " > ".join(text(task, 16) for task in order) if order else "not searched"


def stability_curve(found: pd.DataFrame) -> go.Figure:
    """How soon the ranking of the methods is the one that all runs give."""
    figure = _figure(height=360)
    for i, (backbone, part) in enumerate(found.groupby("backbone")):
        name = f" ({text(str(backbone))})" if many(found) else ""
        for column, what, dash in (("tau", "Kendall tau", "solid"), ("top_1", "same best", "dot")):
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


def variance_bars(found: pd.DataFrame) -> go.Figure:
    """The share of every source of variance."""
    figure = _figure(height=170 + 46 * found["backbone"].nunique(), barmode="stack")
    for i, effect in enumerate(key for key in EFFECTS if key in set(found["effect"])):
        part = found[found["effect"] == effect]
        figure.add_bar(
            y=[text(backbone) for backbone in part["backbone"]],
            x=part["share"],
            orientation="h",
            name=EFFECTS[effect],
            marker={"color": COLOURS[i % len(COLOURS)]},
            text=[f"{share:.0%}" if share >= 0.04 else "" for share in part["share"]],
            customdata=np.sqrt(part["variance"]),
            hovertemplate=f"{EFFECTS[effect]}: %{{x:.1%}}, SD %{{customdata:.3f}}<extra></extra>",
        )
    figure.update_xaxes(tickformat=".0%", range=[0, 1.001], title="share of the variance")
    figure.update_layout(legend={"traceorder": "normal"})
    return figure


def d_study_curve(found: pd.DataFrame) -> go.Figure:
    """Reliability of the ranking by number of seeds, a line per number of orders per seed."""
    figure = _figure(height=360)
    backbone = found["backbone"].iloc[0]
    part = found[found["backbone"] == backbone]
    sizes = sorted(set(part["orders"]))
    now = part[part["current"]].iloc[0]
    shown = sorted({sizes[0], int(now["orders"]), sizes[-1]})
    for i, orders in enumerate(shown):
        line = part[part["orders"] == orders].sort_values("seeds")
        figure.add_scatter(
            x=line["seeds"], y=line["g"], mode="lines+markers",
            name=f"{orders} order{'s' * (orders > 1)} per seed",
            line={"color": COLOURS[i % len(COLOURS)]}, customdata=line[["runs", "phi"]],
            hovertemplate="%{x} seeds: G = %{y:.3f}, Phi = %{customdata[1]:.3f}<br>"
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


def present(frame: pd.DataFrame, groups: Groups) -> Groups:
    """The groups that a frame has rows of."""
    there = set(zip(frame["backbone"], frame["method"], strict=True))
    return [pair for pair in groups if pair in there]


def _figure(**layout: object) -> go.Figure:
    return go.Figure(layout={"template": TEMPLATE, **layout})
