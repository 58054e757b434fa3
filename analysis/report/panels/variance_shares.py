"""Where the differences between runs come from."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report import report_text
from analysis.report.figure_style import COLOURS, empty_figure, text
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics

EFFECTS = {
    "method": "method",
    "order": "order",
    "seed": "seed",
    "method:order": "method x order, and noise",
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
        return (
            "Where differences between runs come from, and which size of study tells methods apart."
        )

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a stacked bar per backbone."""
        figure = empty_figure(height=170 + 46 * frame["backbone"].nunique(), barmode="stack")
        for i, effect in enumerate(key for key in EFFECTS if key in set(frame["effect"])):
            part = frame[frame["effect"] == effect]
            figure.add_bar(
                y=[text(backbone) for backbone in part["backbone"]],
                x=part["share"],
                orientation="h",
                name=EFFECTS[effect],
                marker={"color": COLOURS[i % len(COLOURS)]},
                text=[f"{share:.0%}" if share >= 0.04 else "" for share in part["share"]],
                customdata=np.sqrt(part["variance"]),
                hovertemplate=f"{EFFECTS[effect]}: %{{x:.1%}}, SD %{{customdata:.3f}}"
                "<extra></extra>",
            )
        figure.update_xaxes(tickformat=".0%", range=[0, 1.001], title="share of the variance")
        figure.update_layout(legend={"traceorder": "normal"})
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit, numbers, and what was truncated."""
        size = frame.iloc[0]
        truncated = frame.loc[frame["truncated"], "effect"]
        cut = f" Estimated below 0 and set to it: {', '.join(truncated)}." if len(truncated) else ""
        return (
            f"Unit: share of the variance of the average accuracy; n = {size.methods} methods x "
            f"{size.seeds} seeds x {size.orders} orders; no interval.{cut}"
            f"{report_text.counted(study)}"
        )
