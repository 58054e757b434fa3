"""Whether similar tasks harm or help each other more."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, empty_figure, many, text
from analysis.report.panels.base import Panel
from analysis.report.panels.similar_neighbours import measured_by
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import NOTHING, listed


class SimilarPairs(Panel):
    """Shows what learning one task does to another, against how similar the two are."""

    key, title, table, section = "similar_pairs", "Similar pairs", "similarity_pairs", "similarity"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns similarity and contribution of pairs of tasks."""
        pairs = study.similarity_pairs
        return pairs if len(study.adjacencies) else pairs.iloc[:0]

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "Do similar tasks harm or help each other more?"

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the correlations of the measure shown."""
        tests = study.similarity[study.similarity["measure"] == frame["measure"].iloc[0]]
        known = [
            f"{study.called(row.backbone, row.method)} {row.r:+.2f} (p {row.p:.3f})"
            for row in rows(tests)
            if np.isfinite(row.r)
        ]
        if not known:
            return "No correlation of similarity and contribution can be computed."
        said = "Correlation of the similarity of two tasks with what one does to the other"
        return f"{said}: {listed(known)}."

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a dot per pair of tasks, by the study's first measure."""
        figure = empty_figure(height=420)
        measure = frame["measure"].iloc[0]
        pairs, tests = (known[known["measure"] == measure] for known in (frame, study.similarity))
        for backbone, method in study.groups:
            part = group(pairs, backbone, method)
            if part.empty or part["contribution"].abs().max() < NOTHING:
                continue
            (test,) = rows(group(tests, backbone, method))
            known = f": r {test.r:+.2f}, p {test.p:.3f}" if np.isfinite(test.r) else ""
            figure.add_scatter(
                x=part["similarity"], y=part["contribution"], mode="markers",
                name=study.looks.label(backbone, method, many(pairs)) + known,
                marker=study.looks.marker(method, backbone, 8),
                text=[f"learning {text(row.trained)}, {study.words.noun} on {text(row.task)}"
                      for row in rows(part)],
                hovertemplate="%{text}<br>similarity %{x:.3f}, contribution %{y:.3f}"
                "<extra></extra>",
            )  # fmt: skip
        figure.add_hline(0, line={"color": INK, "width": 1, "dash": "dot"})
        figure.update_xaxes(title=f"similarity of the two tasks ({text(measure)})")
        figure.update_yaxes(title="contribution of one to the other", tickformat=".2f")
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what a dot is, and what is tested."""
        return (
            f"Unit: fraction against similarity, {measured_by(study)} Dot: one task's mean "
            f"effect on another, over n = {int(frame['runs'].max())} runs; no interval. r and p: "
            "Mantel, over permutations of the tasks."
        )
