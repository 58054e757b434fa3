"""What of an order matters to how a run ends."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, Looks, many, present, small_multiples, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, row_with_most, rows, shown_to_predict
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import listed

LOWEST = -0.5
"""R2 below which a model is no worse in any way that matters, and the axis ends."""


class OrderModelBars(Panel):
    """Shows the out-of-sample R2 of every model of the order, a dot per method."""

    key, title, table = "models", "What about the order matters", "order_models"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the fitted models."""
        return study.order_models

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the models are."""
        return (
            "Does it matter which task comes before which (precedence), which place a task takes "
            "(position), or which task follows which (adjacency)?"
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot per model, with a dot per method."""
        groups, models = present(frame, study.groups), list(dict.fromkeys(frame["model"]))
        figure, places = small_multiples(
            models, row=32 + 32 * len(groups), x="variance explained in replicates left out",
            legend=False, shared_yaxes=True, horizontal_spacing=0.04,
        )  # fmt: skip
        lowest = min(0.0, max(frame["r2"].min(), LOWEST))
        highest = max(frame["r2"].max(), 0.1)
        margin = 0.12 * (highest - lowest)
        for model, where in zip(models, places, strict=True):
            for place, (backbone, method) in enumerate(groups):
                for row in rows(group(frame[frame["model"] == model], backbone, method)):
                    _dot(figure, row, place, study.looks, lowest, where)
            figure.add_vline(0, line={"color": INK, "width": 1, "dash": "dot"}, **where)
        figure.update_xaxes(
            tickformat=".0%", nticks=3, range=[lowest - margin, highest + margin], tickangle=0
        )
        figure.update_yaxes(
            tickvals=list(range(len(groups))),
            ticktext=[study.looks.tick(*pair, many(frame)) for pair in groups],
            range=[len(groups) - 0.5, -0.5],
        )
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which model predicts a method best, and which methods none predicts."""
        found: dict[str, list[str]] = {}
        none = []
        for pair in present(frame, study.groups):
            mine = group(frame, *pair)
            known = shown_to_predict(mine)
            if known.empty:
                none.append(study.called(*pair))
            else:
                best = row_with_most(known, "r2")
                found.setdefault(best.model, []).append(f"{study.called(*pair)} {best.r2:.0%}")
        models = [f"{model} ({', '.join(best)})" for model, best in found.items()]
        said = f"What predicts most of the variance over orders: {listed(models)}" if models else ""
        if none:
            said += f"{'; ' if said else ''}{'n' if said else 'N'}othing of the order is shown to "
            said += f"predict {listed(none)}"
        return f"{said}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        cut = frame["r2"].min() < LOWEST
        below = f" At the arrows: below {LOWEST:.0%}, as written." if cut else ""
        return (
            f"Unit: R2 of the average {study.words.noun} inside replicates, each predicted by a "
            f"model of the others; 0: no better than the mean; "
            f"n = {frame['runs'].max()} runs per method; no interval. "
            "Shown to predict: p below 0.05, of replicates that agree as well when tasks "
            "are called otherwise in each (Holm over models and methods). Hover: p, and the orders "
            f"that a model calls best and worst.{below}"
        )


def _dot(
    figure: go.Figure, row: Any, place: int, looks: Looks, lowest: float, where: dict[str, int]
) -> None:
    """Draws one R2; an arrow with its number where the axis does not reach it."""
    is_below = row.r2 < lowest
    marker = looks.marker(row.method, row.backbone, 9)
    figure.add_scatter(
        x=[max(row.r2, lowest)],
        y=[place],
        mode="markers+text" if is_below else "markers",
        marker=marker | ({"symbol": "arrow-left"} if is_below else {}),
        text=[f" {row.r2:.0%}"],
        textposition="middle right",
        showlegend=False,
        hovertemplate=f"{row.model}: R2 {row.r2:.3f}, p {row.p_holm:.3f}<br>"
        f"predicted best: {_path(row.best_order)}<br>worst: {_path(row.worst_order)}"
        f"<extra>{looks.name(row.method)}</extra>",
        **where,
    )


def _path(order: tuple[str, ...] | None) -> str:
    return " > ".join(text(task, 16) for task in order) if order else "not searched"
