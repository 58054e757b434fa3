"""Whether contributions between images and texts predict what a transition does."""

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.intervals import LEVEL
from analysis.mechanisms.transitions import transition_models, transitions
from analysis.report import html_parts
from analysis.report.figure_style import (
    INK,
    broken,
    many,
    present,
    small_multiples,
)
from analysis.report.html_tables import Cell, bounded, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, row_with_most
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import plural

RESPONSES = {
    "accuracy_before": "{noun}, task before",
    "accuracy_new": "{noun}, new task",
    "loss_before": "loss, task before",
    "loss_new": "loss, new task",
}
"""What changes, with the noun for a score."""
LOWEST = -0.5
"""R2 below which a model is no worse in any way that matters, and the axis ends."""


class TransitionPredictions(Panel):
    """Shows the regression of what a transition changes on two contributions."""

    key, title, table = "transitions", "Do contributions predict transitions?", "transition_models"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the fitted regressions."""
        return transition_models(transitions(study.results, study.runs))

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return (
            "On going from one task to the next, do the contributions of its images to the next "
            "one's texts, and of its texts to the next one's images, predict what changes?"
        )

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether anything is predicted in replicates left out."""
        return bool((frame["r2_out"] > 0).any())

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a plot by kind of scores: R2 in replicates left out, by what changes."""
        groups, kinds = present(frame, study.groups), list(dict.fromkeys(frame["scores"]))
        responses = [name for name in RESPONSES if name in set(frame["response"])]
        figure, places = small_multiples(
            [f"{kind} scores" for kind in kinds], row=40 + 44 * len(responses),
            x="variance explained in replicates left out", shared_yaxes=True,
        )  # fmt: skip
        shown = frame.dropna(subset=["r2_out"])
        lowest = max(float(shown["r2_out"].min()), LOWEST) if len(shown) else 0.0
        for i, (backbone, method) in enumerate(groups):
            part, lift = group(shown, backbone, method), 0.5 * ((i + 0.5) / len(groups) - 0.5)
            for kind, where in zip(kinds, places, strict=True):
                mine = part[part["scores"] == kind]
                figure.add_scatter(
                    x=mine["r2_out"].clip(lower=lowest),
                    y=[responses.index(name) + lift for name in mine["response"]],
                    mode="markers", name=study.looks.label(backbone, method, many(frame)),
                    legendgroup=f"{backbone} {method}", showlegend=where is places[0],
                    marker=study.looks.marker(method, backbone, 9),
                    customdata=mine[["r2_out", "r2"]].to_numpy(),
                    hovertemplate="R2 %{customdata[0]:.3f} in replicates left out, "
                    "%{customdata[1]:.3f} in those fitted"
                    f"<extra>{study.looks.name(method)}</extra>",
                    **where,
                )  # fmt: skip
        for where in places:
            figure.add_vline(0, line={"color": INK, "width": 1, "dash": "dot"}, **where)
        figure.update_xaxes(tickformat=".0%", nticks=3, tickangle=0)
        figure.update_yaxes(
            tickvals=list(range(len(responses))),
            ticktext=[broken(RESPONSES[name].format(noun=study.words.noun)) for name in responses],
            range=[len(responses) - 0.5, -0.5],
        )
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how much is predicted at best, and how many slopes are decided."""
        known = frame.dropna(subset=["r2_out"])
        if known.empty:
            return "Whether contributions predict transitions cannot be said with one replicate."
        best = row_with_most(known, "r2_out")
        name = study.called(best.backbone, best.method)
        changed = RESPONSES[best.response].format(noun=study.words.noun)
        what = f"{name}, {changed}, {best.scores} scores"
        count = int((known["r2_out"] > 0).sum())
        if not count:
            return "In replicates left out, contributions predict no change better than the mean."
        return (
            f"In replicates left out, contributions predict {count} of {len(known)} changes better "
            f"than the mean does, at best {best.r2_out:.0%} of the variance ({what}). "
            f"{_beyond_chance(frame)}"
        )

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers."""
        cut = f" Dots at {LOWEST:.0%}: there or below." if frame["r2_out"].min() < LOWEST else ""
        return (
            "Unit: R2, each replicate predicted from the others (0: no better than the mean); "
            f"{plural(int(frame['transitions'].max()), 'transition')} per method at most; no "
            "interval. Frozen: scores of the untouched backbone; adaptive: just before the stage."
            f"{cut}{study.looks.note}"
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of regressions, to be opened."""
        lines = [_regression(study, row) for _, row in frame.iterrows()]
        head = ["method", "change of", "scores", "image to text", "text to image", "R2"]
        head += ["R2 outside", "same sign", "p", "transitions"]
        caption = (
            f"Unit: change of {study.words.noun} (fraction) or loss (nats) per unit of cosine; "
            "95 % t interval over replicates, each fitted by itself, not corrected for their "
            "number. R2 outside: each replicate predicted from the others. Same sign: of predicted "
            "and observed changes. p: the share of permutations of the tasks of frozen scores that "
            "explain as much, Holm over the regressions of a backbone."
        )
        shown = table(
            "Predictions of transitions", head, lines, sortable=True
        ) + html_parts.caption(caption, self.table)
        return html_parts.details(f"All {plural(len(frame), 'regression')}", shown)


def _beyond_chance(frame: pd.DataFrame) -> str:
    """Returns how many regressions explain more than scores whose tasks are permuted."""
    tested = frame["p_holm"].dropna()
    if tested.empty:
        return "Whether scores that are made up would do as well cannot be said."
    count = int((tested < 1 - LEVEL).sum())
    does = "explains" if count < 2 else "explain"
    return (
        f"{count or 'None'} of the {len(tested)} with frozen scores {does} more than these scores "
        "with their tasks permuted."
    )


def _regression(study: StudyStatistics, row: pd.Series) -> list[Cell]:
    return [
        name(study, row["backbone"], row["method"]),
        Cell(RESPONSES[row["response"]], css="text"),
        Cell(row["scores"], css="text"),
        *(bounded(row, column) for column in ("image_text", "text_image")),
        *(number(row[column]) for column in ("r2", "r2_out", "sign", "p_holm")),
        number(int(row["transitions"])),
    ]
