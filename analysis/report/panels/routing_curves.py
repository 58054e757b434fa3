"""For whose task methods that are not told of which task a sample is take it, stage by stage."""

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd

from analysis.mechanisms.routing_stages import routing_stages
from analysis.report.panels.stage_curves import StageCurves
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval, plural


class RoutingCurves(StageCurves):
    """Shows the share of answers that comes from tasks learnt, one plot per kind of samples."""

    key, title, table = "routing", "Are samples known for what they are?", "routing_stages"
    column, y = "samples", "share of the answers"
    kinds: ClassVar[Mapping[str, str]] = {
        "own": "tasks learnt: by their own",
        "unlearnt": "tasks not learnt yet",
        "probes": "held-out suites",
    }

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the shares after every stage."""
        return routing_stages(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the shares are of."""
        return (
            "These methods keep something for each task and choose it by the sample. Whose is it "
            "that answers? At best all of the answers to a task learnt come from its own (left, "
            "1), and the untouched model answers samples of tasks not learnt yet and of held-out "
            "suites (0)."
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the shares after the last stage, method by method."""
        last = frame[frame["stage"] == frame["stage"].max()]
        said = []
        for backbone, method in dict.fromkeys(zip(last["backbone"], last["method"], strict=True)):
            mine = {row.samples: row for row in rows(group(last, backbone, method))}
            parts = [
                f"{interval(mine[kind].mean, mine[kind].low, mine[kind].high)} {of}"
                for kind, of in (
                    ("own", "of the answers to tasks learnt come from their own"),
                    ("probes", "of those to held-out suites from any of them"),
                )
                if kind in mine
            ]
            said.append(f"With {study.called(backbone, method)} {', '.join(parts)}.")
        return f"After {plural(int(last['stage'].max()), 'task')}: {' '.join(said)}"

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        return (
            "Unit: share of the answers, mean over samples, then over tasks or suites; the rest "
            f"comes from the untouched model; {plural(int(frame['runs'].max()), 'run')} per method "
            f"at most; 95 % t interval over replicates (hover).{study.looks.note}"
        )
