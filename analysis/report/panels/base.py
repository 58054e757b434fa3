"""What every part of the page is: one object in one file."""

import pandas as pd
import plotly.graph_objects as go

from analysis.report.study_statistics import StudyStatistics


class Panel:
    """Describes one part of the page: a figure with its caption, a table, or words.

    Give an object of your own class to `write_report(out, panels=[...])`. Texts are plain, except
    for `controls` and `below`.

    >>> from analysis import Panel
    >>> class RunsPerMethod(Panel):
    ...     key, title, table, after = "sizes", "Runs per method", "sizes", "orders"
    ...
    ...     def frame(self, study):
    ...         return study.runs.groupby("method").size().rename("runs").reset_index()
    ...
    ...     def draw(self, frame, study):
    ...         return go.Figure(go.Bar(x=frame["method"], y=frame["runs"]))
    ...
    ...     def caption(self, frame, study):
    ...         return "Unit: runs; no interval."
    >>> from analysis import from_matrices
    >>> study = StudyStatistics(from_matrices([[[0.9, 0.2], [0.7, 0.8]]], [("cars", "pets")]))
    >>> RunsPerMethod().frame(study)
        method  runs
    0  unnamed     1
    """

    key: str
    """Its anchor in the page."""
    title: str
    """Its heading."""
    table: str = ""
    """The file in tables/ that its frame is written to; "": to none."""
    section: str = ""
    """The key of a panel whose section it continues, without a heading; "": it has its own."""
    after: str = ""
    """Where a panel of your own stands: after the one with this key; "": at the end."""
    chapter: str = ""
    """The chapter of the page that it belongs to; "": that of the panel before it."""
    is_always_shown: bool = False
    """Whether it is on the page even where its frame is empty."""

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what is shown; nothing is where it is empty."""
        raise NotImplementedError

    def heading(self, study: StudyStatistics) -> str:
        """Returns the heading, in the words of a study: accuracy, or score."""
        return self.title

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the sentence below the heading: what is asked, and how to read the answer."""
        return ""

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether the page shows it at once, rather than behind its heading."""
        return True

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the figure shows, in a sentence: its text for those who cannot see it."""
        return ""

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns HTML above the figure, such as a choice of traces (`html_parts.select`)."""
        return ""

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns what each trace shows, where the page shows one of them; else nothing."""
        return []

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure | None:
        """Returns the figure, drawn from the frame; None: there is none."""
        return None

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what the figure counts: unit, number of runs, kind of interval."""
        return ""

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns HTML below the figure, such as a table."""
        return ""
