"""How well images of what is learnt are told from all others, stage by stage."""

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.ood_relations import ood_stages
from analysis.report.figure_style import INK
from analysis.report.panels.stage_curves import StageCurves
from analysis.report.report_frames import row_with_most
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval, plural


class OodCurves(StageCurves):
    """Shows the cumulative AUROC over the stages, one plot per what is out of distribution."""

    key, title, table = "ood_stages", "Are tasks not learnt yet told apart?", "ood_stages"
    section = "ood"
    column, y = "outside", "AUROC"
    kinds: ClassVar[Mapping[str, str]] = {
        "unlearnt": "tasks not learnt yet",
        "probes": "held-out suites",
    }

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the cumulative AUROC of every stage."""
        return ood_stages(study.results, study.runs)

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a line per method, and chance."""
        figure = super().draw(frame, study)
        figure.add_hline(0.5, line={"color": INK, "width": 1, "dash": "dot"}, row="all", col="all")
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which method tells best what is not learnt yet, or held-out suites."""
        kind = self.shown(frame)[0]
        mine = frame[frame["outside"] == kind]
        last = mine[mine["stage"] == mine["stage"].max()]
        best = row_with_most(last, "mean")
        return (
            f"After {plural(int(best.stage), 'task')}, images of {self.kinds[kind]} are told from "
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
