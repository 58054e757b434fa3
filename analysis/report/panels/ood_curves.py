"""How well images of what is learnt are told from all others, stage by stage."""

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.ood_relations import ood_stages
from analysis.report.figure_style import (
    INK,
    decimals,
    label,
    many,
    present,
    small_multiples,
    steps,
    text,
)
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, row_with_most, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval, plural

OUTSIDE = {"unlearnt": "tasks not learnt yet", "probes": "held-out suites"}
"""What is out of distribution."""


class OodCurves(Panel):
    """Shows the cumulative AUROC over the stages, one plot per what is out of distribution."""

    key, title, table = "ood_stages", "Are tasks not learnt yet told apart?", "ood_stages"
    section = "ood"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the cumulative AUROC of every stage."""
        return ood_stages(study.results, study.runs)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method."""
        kinds = [kind for kind in OUTSIDE if kind in set(frame["outside"])]
        figure, places = small_multiples(
            [OUTSIDE[kind] for kind in kinds], row=240, x="stage: number of tasks learnt",
            y="AUROC", horizontal_spacing=0.12,
        )  # fmt: skip
        for backbone, method in present(frame, study.groups):
            part = group(frame, backbone, method)
            for kind, where in zip(kinds, places, strict=True):
                mine = part[part["outside"] == kind]
                figure.add_scatter(
                    x=mine["stage"], y=mine["mean"], mode="lines+markers",
                    name=label(backbone, method, many(frame)), legendgroup=f"{backbone} {method}",
                    showlegend=kind == part["outside"].iloc[0],
                    line=study.looks.line(method), marker=study.looks.marker(method, backbone),
                    text=[interval(row.mean, row.low, row.high) for row in rows(mine)],
                    hovertemplate=f"stage %{{x}}: %{{text}}<extra>{text(method)}</extra>",
                    **where,
                )  # fmt: skip
        figure.update_xaxes(**steps(frame["stage"]))
        figure.update_yaxes(tickformat=decimals(frame["mean"]))
        for where in places:
            figure.add_hline(0.5, line={"color": INK, "width": 1, "dash": "dot"}, **where)
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which method tells best what is not learnt yet, or held-out suites."""
        kind = next(kind for kind in OUTSIDE if kind in set(frame["outside"]))
        mine = frame[frame["outside"] == kind]
        last = mine[mine["stage"] == mine["stage"].max()]
        best = row_with_most(last, "mean")
        return (
            f"After {plural(int(best.stage), 'task')}, images of {OUTSIDE[kind]} are told from "
            f"those of learnt ones best with {study.called(best.backbone, best.method)}: AUROC "
            f"{interval(best.mean, best.low, best.high)}."
        )

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            "Unit: AUROC, by the classes of all tasks learnt so far; dotted: by chance; "
            f"{plural(int(frame['runs'].max()), 'run')} per method at most; 95 % t interval over "
            f"replicates (hover).{study.looks.note}"
        )
