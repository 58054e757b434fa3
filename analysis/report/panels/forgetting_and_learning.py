"""Forgetting against learning."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, empty_figure, many
from analysis.report.panels.base import Panel
from analysis.report.report_frames import by_metric, group
from analysis.report.run_clouds import hover
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval, plural


class ForgettingAndLearning(Panel):
    """Shows forgetting against learning; runs on one dotted line end with the same accuracy."""

    key, title, table = "forgetting", "Forgetting and learning", "runs"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns all runs."""
        return study.runs

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what right and up mean."""
        return (
            "Does a method end low because it learns little, or because it forgets? Right: new "
            "tasks are learnt better. Up: more of it is lost afterwards."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a dot per run in which every task was measured when it was learnt."""
        known = frame.dropna(subset=["learning_accuracy", "forgetting_last"])
        runs, groups, noun = study.dots(known), study.groups, study.words.noun
        figure = empty_figure(height=520)
        lengths = runs["order"].map(len).unique()
        if len(lengths) == 1 and lengths[0] > 1:
            _iso_lines(figure, runs, lengths[0])
        for backbone, method in groups:
            part = group(runs, backbone, method)
            figure.add_scatter(
                x=part["learning_accuracy"],
                y=part["forgetting_last"],
                mode="markers",
                name=study.looks.label(backbone, method, many(runs)),
                marker=study.looks.marker(method, backbone) | {"opacity": 0.7},
                **hover(part, f"learning {noun} %{{x:.3f}}<br>forgetting %{{y:.3f}}"),
            )
        figure.update_xaxes(title=f"learning {noun} (just after each task)", tickformat=".2f")
        figure.update_yaxes(title="forgetting (lost since)", tickformat=".2f")
        figure.update_layout(margin={"r": 48}, legend={"y": 1.06})
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which contender forgets most, and which learns most."""
        contenders = study.contenders or study.groups
        shown = []
        for metric, what in (("forgetting_last", "forgets"), ("learning_accuracy", "learns")):
            known = [
                (by_metric(study.summary, *pair)[metric], pair)
                for pair in contenders
                if metric in by_metric(study.summary, *pair)
                and pd.notna(by_metric(study.summary, *pair)[metric].mean)
            ]
            if known:
                row, pair = max(known, key=lambda item: item[0].mean)
                most = " most" if len(known) > 1 else ""
                value = interval(row.mean, row.low, row.high)
                shown.append(f"{study.called(*pair)} {what}{most}: {value}")
        said = "; ".join(shown)
        return f"{said}." if said else ""

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what dots and lines are."""
        known = frame["learning_accuracy"].notna() & frame["forgetting_last"].notna()
        return (
            f"Unit: fraction; {plural(int(known.sum()), 'run')}, no interval. {study.dot} Runs on "
            f"one dotted line end with the average {study.words.noun} written on it: "
            f"AA = learning - (T-1)/T x forgetting.{study.looks.note}"
        )


def _iso_lines(figure: go.Figure, runs: pd.DataFrame, length: int) -> None:
    """Draws lines of equal average accuracy: AA = learning - (T - 1) / T * forgetting, exactly."""
    ratio = (length - 1) / length
    left, right = _padded(runs["learning_accuracy"])
    bottom, top = _padded(runs["forgetting_last"])
    lowest, highest = left - ratio * top, right - ratio * bottom
    step = next(size for size in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if highest - lowest < 7 * size)
    for level in np.arange(0, 1 + step / 2, step):
        crossings = [(left, (left - level) / ratio), (right, (right - level) / ratio)]
        crossings += [(level + ratio * bottom, bottom), (level + ratio * top, top)]
        inside = [(x, y) for x, y in crossings if left <= x <= right and bottom <= y <= top]
        if len(inside) >= 2:
            ends = [min(inside), max(inside)]
            at_side = ends[1][0] >= right - 1e-9
            figure.add_scatter(
                x=[x for x, _ in ends], y=[y for _, y in ends], mode="lines+text",
                text=["", f"{level:.2f}"], textfont={"color": INK},
                textposition="middle right" if at_side else "top center", cliponaxis=False,
                line={"color": INK, "width": 1, "dash": "dot"}, opacity=0.6,
                showlegend=False, hoverinfo="skip",
            )  # fmt: skip
    figure.update_layout(xaxis={"range": [left, right]}, yaxis={"range": [bottom, top]})


def _padded(values: pd.Series) -> tuple[float, float]:
    margin = 0.06 * max(values.max() - values.min(), 0.02)
    return float(values.min() - margin), float(values.max() + margin)
