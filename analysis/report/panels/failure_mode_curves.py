"""Failure modes, stage by stage."""

from html import escape

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.failure_modes import MEASURES, failure_modes
from analysis.report import html_parts
from analysis.report.figure_style import (
    decimals,
    many,
    present,
    small_multiples,
    steps,
)
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import NOTHING, interval, listed


class FailureModeCurves(Panel):
    """Shows every measure of a failure mode over the stages, one plot per measure."""

    key, title, table = "modes", "Failure modes", "failure_modes"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what goes wrong, mode by mode and stage by stage."""
        return failure_modes(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the questions."""
        return (
            "What goes wrong on the way: do image and text features drift apart, do tasks "
            "interfere, does zero-shot ability erode?"
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method."""
        measures = [name for name in MEASURES if name in set(frame["measure"])]
        titles = [MEASURES[name].label for name in measures]
        figure, places = small_multiples(
            titles, row=170, x="stage: number of tasks learnt", horizontal_spacing=0.12
        )
        for backbone, method in present(frame, study.groups):
            part = group(frame, backbone, method)
            for place, name in enumerate(measures):
                mine = part[part["measure"] == name]
                bounds = [interval(row.mean, row.low, row.high) for row in rows(mine)]
                figure.add_scatter(
                    x=mine["stage"], y=mine["mean"], mode="lines+markers",
                    name=study.looks.label(backbone, method, many(frame)),
                    legendgroup=f"{backbone} {method}",
                    showlegend=place == 0, **places[place],
                    line=study.looks.line(method), marker=study.looks.marker(method, backbone),
                    text=bounds, customdata=mine[["order_sd", "runs"]].to_numpy(),
                    hovertemplate="stage %{x}: %{text}<br>SD over orders %{customdata[0]:.3f}, "
                    f"%{{customdata[1]}} runs<extra>{study.looks.name(method)}</extra>",
                )  # fmt: skip
        figure.update_xaxes(**steps(frame["stage"]))
        for name, where in zip(measures, places, strict=True):
            means = frame.loc[frame["measure"] == name, "mean"]
            figure.update_yaxes(tickformat=decimals(means), tickfont={"size": 11}, **where)
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which contender ends furthest from the untouched backbone, by measure."""
        furthest: dict[str, list[str]] = {}
        measures = [name for name in MEASURES if name in set(frame["measure"])]
        for measure in measures:
            part = frame[frame["measure"] == measure]
            moved = [
                (*_moved(group(part, *pair)), pair) for pair in present(part, study.contenders)
            ]
            if moved and (best := max(moved))[0] >= NOTHING:
                said = f"{MEASURES[measure].label} {best[1]}"
                furthest.setdefault(study.called(*best[2]), []).append(said)
        if not furthest:
            return "No measure changes while tasks are learnt."
        parts = [
            f"{name} in {len(shown)} of {len(measures)} measures ({listed(shown[-2:])})"
            for name, shown in sorted(furthest.items(), key=lambda item: -len(item[1]))
        ]
        return f"Furthest from the untouched backbone after the last stage: {'; '.join(parts)}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns units and numbers."""
        return (
            f"Unit: cosine, distance of unit vectors or fraction, by stage; "
            f"{report_text.sample(study)} (hover).{study.looks.note}"
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the formulas of the measures shown, to be opened."""
        formulas = "".join(
            f"<dt>{escape(measure.label)}</dt><dd>{escape(measure.formula)}</dd>"
            for name, measure in MEASURES.items()
            if name in set(frame["measure"])
        )
        return html_parts.details("Formulas", f'<dl class="formulas">{formulas}</dl>')


def _moved(curve: pd.DataFrame) -> tuple[float, str]:
    """Returns how far a measure is from where it began, and its value at the last stage."""
    by_stage = curve.set_index("stage")
    start = by_stage["mean"].get(0, 0.0)  # what was lost of the task before begins at 0
    last = by_stage.loc[by_stage.index.max()]
    return abs(last["mean"] - start), interval(*last[["mean", "low", "high"]])
