"""What panels share that show a measure after each stage, by kind of samples."""

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import decimals, many, present, small_multiples, steps
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval


class StageCurves(Panel):
    """Shows a line per method over the stages, one plot per kind."""

    column: ClassVar[str]
    """Of the frame: the kind."""
    kinds: ClassVar[Mapping[str, str]]
    """Titles of the plots by what the column holds."""
    y: ClassVar[str]
    """Title of the vertical axes."""

    def shown(self, frame: pd.DataFrame) -> list[str]:
        """Returns the kinds that there are."""
        found = set(frame[self.column])
        return [kind for kind in self.kinds if kind in found]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method."""
        kinds = self.shown(frame)
        figure, places = small_multiples(
            [self.kinds[kind] for kind in kinds], row=240, x="stage: number of tasks learnt",
            y=self.y, horizontal_spacing=0.12,
        )  # fmt: skip
        for backbone, method in present(frame, study.groups):
            part = group(frame, backbone, method)
            for kind, where in zip(kinds, places, strict=True):
                mine = part[part[self.column] == kind]
                figure.add_scatter(
                    x=mine["stage"], y=mine["mean"], mode="lines+markers",
                    name=study.looks.label(backbone, method, many(frame)),
                    legendgroup=f"{backbone} {method}",
                    showlegend=kind == part[self.column].iloc[0],
                    line=study.looks.line(method), marker=study.looks.marker(method, backbone),
                    text=[interval(row.mean, row.low, row.high) for row in rows(mine)],
                    hovertemplate="stage %{x}: %{text}"
                    f"<extra>{study.looks.name(method)}</extra>",
                    **where,
                )  # fmt: skip
        figure.update_xaxes(**steps(frame["stage"]))
        figure.update_yaxes(tickformat=decimals(frame["mean"]))
        return figure
