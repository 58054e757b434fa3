"""Figures and tables as files: SVG, PDF and PNG; CSV and LaTeX."""

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import plotly.io

from analysis.report.embedded_data import as_csv
from analysis.report.figure_style import HEIGHT, text, titled
from analysis.report.latex import latex_table
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics

FIGURES = ("svg", "pdf", "png")
TABLES = ("csv", "tex")
WIDTH = 900
"""Of a figure, in pixels."""
SCALE = 2
"""Pixels of a PNG for one of the figure, so that it is sharp in print."""
LARGEST = 300
"""Rows of a table that is still written as LaTeX."""
INSTALL = "pip install 'task-order-sweep[figures]'"


def check_formats(figures: Sequence[str], tables: Sequence[str]) -> None:
    """Makes sure that these formats can be written.

    Raises:
        ValueError: one is unknown, or what writes figures is not installed.

    >>> check_formats(["svg"], ["xlsx"])
    Traceback (most recent call last):
    ...
    ValueError: Tables cannot be written as 'xlsx'; there are: csv, tex.
    """
    for what, given, known in (("Figures", figures, FIGURES), ("Tables", tables, TABLES)):
        for name in given:
            if name not in known:
                raise ValueError(
                    f"{what} cannot be written as '{name}'; there are: {', '.join(known)}."
                )
    if figures and importlib.util.find_spec("kaleido") is None:
        raise ValueError(
            f"Writing figures takes kaleido, which is not installed; install it with: {INSTALL}"
        )


def alone(
    panel: Panel, frame: pd.DataFrame, study: StudyStatistics, place: int = 0
) -> go.Figure | None:
    """Returns the figure of a panel as it stands outside of the page; None: there is none.

    Args:
        panel: of the page.
        frame: what it shows.
        study: what the frame is of.
        place: which of the panel's options is shown, where the page offers a choice.
    """
    figure = panel.draw(frame, study)
    if figure is None:
        return None
    options, title = panel.options(frame, study), panel.heading(study)
    if options:
        figure.data = (figure.data[place],)
        figure.data[0].visible = True
        one_backbone = len({option.get("backbone") for option in options}) == 1
        chosen = {k: v for k, v in options[place].items() if k != "backbone" or not one_backbone}
        if "method" in chosen:
            chosen["method"] = study.looks.called(chosen["method"])
        title += f": {text(', '.join(chosen.values()), 60)}" if chosen else ""
    return titled(figure, title)


def images(figures: Mapping[str, go.Figure], formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yields every figure in every format, as name of a file and content, on white paper.

    Raises:
        ValueError: there is no browser to draw with.
    """
    names = [f"{name}.{kind}" for name in figures for kind in formats]
    if not names:
        return
    drawn = [
        go.Figure(figure).update_layout(paper_bgcolor="white")
        for figure in figures.values()
        for _ in formats
    ]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in names]
        # Of several figures at once, plotly does not read the heights by itself.
        heights = [figure.layout.height or HEIGHT for figure in drawn]
        scales = [SCALE if path.suffix == ".png" else 1 for path in paths]
        try:
            plotly.io.write_images(fig=drawn, file=paths, width=WIDTH, height=heights, scale=scales)
        except RuntimeError as error:
            raise ValueError(
                f"Writing figures takes Chrome or Chromium: {str(error).strip().splitlines()[0]}"
            ) from None
        for name, path in zip(names, paths, strict=True):
            yield name, path.read_bytes()


def texts(
    tables: Mapping[str, pd.DataFrame], formats: Sequence[str], study: StudyStatistics
) -> Iterator[tuple[str, str]]:
    """Yields every table of a study in every format, as name of a file and content.

    Those of more than LARGEST rows are not written as LaTeX.
    """
    for name, table in tables.items():
        for kind in formats:
            if kind == "csv":
                yield f"{name}.csv", as_csv(table)
            elif len(table) <= LARGEST:
                yield f"{name}.tex", latex_table(table, study.references, study.told)
