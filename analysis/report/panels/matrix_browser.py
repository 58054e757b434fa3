"""The accuracy matrix of any run, which the script of the page draws."""

import pandas as pd

from analysis.report import html_parts
from analysis.report.panels.base import Panel
from analysis.report.report_frames import accuracies
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import plural


class MatrixBrowser(Panel):
    """Shows how accurate a run is on every task, after every stage."""

    key, title, table = "matrices", "Accuracy matrices", "accuracies"
    is_always_shown = True

    def heading(self, study: StudyStatistics) -> str:
        """Returns the heading."""
        return f"{study.words.noun.capitalize()} matrices"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the accuracy on every task after every distinct stage."""
        return accuracies(study.results)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return f"Choose a run: what is its {study.words.noun} on every task, after every stage?"

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of method, replicate and order."""
        data = study.browser
        replicates = list(dict.fromkeys(str(data["runs"][place][0]) for place in data["shown"]))
        return (
            html_parts.select("choose-method", "method", study.looks.labels(study.browsed))
            + html_parts.select("choose-replicate", "replicate", replicates, replicates)
            + html_parts.select("choose-order", "order, worst first", [], css="wide")
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the places of both plots."""
        left_out = study.browser["omitted"]
        omitted = f" {plural(left_out, 'more order')}: only in the data." if left_out else ""
        caption = (
            "Unit: fraction; one run, n = 1, no interval. Rows: after each stage; columns: tasks "
            "in learning order; framed: the task just learnt. Below: the same, one panel per task "
            f"over stages, with a star where it is learnt.{omitted}"
        )
        plots = "".join(f'<div class="plot" id="figure-{key}"></div>' for key in _PLOTS)
        return f"<figure>{plots}{html_parts.caption(caption, self.table, True)}</figure>"


_PLOTS = ("matrix", "curves")
