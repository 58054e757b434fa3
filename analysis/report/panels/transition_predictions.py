"""Whether contributions between images and texts predict what a transition does."""

import pandas as pd

from analysis.mechanisms.transitions import transition_models, transitions
from analysis.report import html_parts
from analysis.report.html_tables import Cell, bounded, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.phrases import plural
from analysis.report.study_statistics import StudyStatistics

RESPONSES = {
    "accuracy_before": "accuracy, task before",
    "accuracy_new": "accuracy, new task",
    "loss_before": "loss, task before",
    "loss_new": "loss, new task",
}


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

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of regressions."""
        lines = [_regression(study, row) for _, row in frame.iterrows()]
        head = ["method", "change of", "scores", "image to text", "text to image", "R2"]
        head += ["R2 outside", "same sign", "transitions"]
        caption = (
            f"Unit: change of accuracy (fraction) or loss (nats) per unit of cosine; "
            f"{plural(int(frame['transitions'].max()), 'transition')} per method at most; 95 % t "
            "interval over replicates, each fitted by itself. Frozen: scores of the untouched "
            "backbone, adaptive: just before the stage. R2 outside: each replicate predicted from "
            "the others. Same sign: of predicted and observed changes."
        )
        return table(head, lines, sortable=True) + html_parts.caption(caption, self.table)


def _regression(study: StudyStatistics, row: pd.Series) -> list[Cell]:
    return [
        name(study, row["backbone"], row["method"]),
        Cell(RESPONSES[row["response"]], css="text"),
        Cell(row["scores"], css="text"),
        *(bounded(row, column) for column in ("image_text", "text_image")),
        *(number(row[column]) for column in ("r2", "r2_out", "sign")),
        number(int(row["transitions"])),
    ]
