"""Where the differences between runs come from."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, broken, small_multiples, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import listed

EFFECTS = {
    "method": "method",
    "order": "order",
    "seed": "seed",
    "method:order": "method x order with noise",
    "method:seed": "method x seed",
}
"""How the sources of variance are called."""


class VarianceShares(Panel):
    """Shows the share of every source of variance."""

    key, title, table = "variance", "Variance and size", "variance"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the variance by source."""
        return study.variance

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the questions of this and the next panel."""
        return "Where do differences between runs come from, and what size tells methods apart?"

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot per backbone, with a bar per source."""
        backbones = list(dict.fromkeys(frame["backbone"]))
        effects = [key for key in EFFECTS if key in set(frame["effect"])]
        titles = [text(backbone) for backbone in backbones] if len(backbones) > 1 else [""]
        figure, places = small_multiples(
            titles, row=30 + 34 * len(effects), x="share of the variance", legend=False,
            shared_yaxes=True,
        )  # fmt: skip
        for backbone, where in zip(backbones, places, strict=True):
            part = frame[frame["backbone"] == backbone].set_index("effect").reindex(effects)
            figure.add_bar(
                y=[broken(EFFECTS[effect]) for effect in effects],
                x=part["share"],
                orientation="h",
                showlegend=False,
                marker={"color": INK, "opacity": 0.75},
                text=[_written(row) for row in rows(part)],
                textposition="outside",
                cliponaxis=False,
                customdata=np.sqrt(part["variance"]),
                hovertemplate="%{y}: %{x:.1%}, SD %{customdata:.3f}<extra></extra>",
                **where,
            )
        figure.update_xaxes(tickformat=".0%", range=[0, 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1])
        figure.update_yaxes(autorange="reversed", showgrid=False)
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the shares, the largest first."""
        said = []
        for backbone, part in frame.groupby("backbone"):
            shares = [
                f"{EFFECTS[row.effect]} {row.share:.0%}"
                for row in rows(part.sort_values("share", ascending=False, kind="stable"))
                if pd.notna(row.share)
            ]
            on = f" on {backbone}" if frame["backbone"].nunique() > 1 else ""
            if not shares:
                continue
            said.append(f"Shares of the variance between runs{on}: {listed(shares)}")
        return f"{'. '.join(said) or 'The variance between runs cannot be told apart'}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit, numbers, and what was truncated."""
        size = frame.iloc[0]
        truncated = frame.loc[frame["truncated"], "effect"]
        cut = f" Estimated below 0 and set to it: {', '.join(truncated)}." if len(truncated) else ""
        return (
            f"Unit: share of the variance of the average {study.words.noun}; n = {size.methods} "
            f"methods x {size.seeds} seeds x {size.orders} orders; no interval.{cut}"
            f"{report_text.ranked_together(study)}{report_text.counted(study)}"
        )


def _written(row: Any) -> str:
    """Returns a share as it stands beside its bar."""
    if pd.isna(row.share):
        return ""
    return f"{row.share:.0%}{' (estimated below 0)' if row.truncated else ''}"
