"""The tables of the report, as HTML."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import pandas as pd

from analysis.orders.comparison import BOUNDS
from analysis.report.figure_style import Looks
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import NOTHING, rounded_up
from analysis.run_metrics.metric import Metric

ARROWS = {True: "&uarr;", False: "&darr;"}
"""By whether higher is better."""


EXPORTED = {"csv": "CSV", "tex": "LaTeX"}
"""What a table can be saved as: as it is seen, with values and intervals."""


class Cell(NamedTuple):
    """Holds a table cell: HTML, what it sorts by, and its CSS class."""

    html: str
    value: str = ""
    css: str = ""


def table(
    title: str, head: Sequence[str], lines: Sequence[Sequence[Cell]], sortable: bool = False
) -> str:
    """Returns an HTML table whose first column names the rows.

    Args:
        title: what it is called by programs that read the page aloud, and in LaTeX; plain.
        head: headings, HTML already.
        lines: cells.
        sortable: whether a click on a heading sorts.
    """
    kinds = [cell.css for cell in lines[0]] if lines else [""] * len(head)
    titles = (f"<button>{title}</button>" if sortable else title for title in head)
    top = "".join(
        f'<th scope="col"{_css("text" if css in ("text", "order") else "")}>{title}</th>'
        for title, css in zip(titles, kinds, strict=True)
    )
    body = "".join(
        f"<tr>{_th(row[0])}{''.join(_td(cell) for cell in row[1:])}</tr>" for row in lines
    )
    css = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f'<table{css}><caption class="hidden">{escape(title)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<div class="exports">{"".join(map(_export, ("csv", "tex")))}</div>'
    )


def bounded(row: Any, column: str, digits: int = 3) -> Cell:
    """Returns a column of a row with its _low and _high below."""
    value, low, high = (
        getattr(row, column + end) if hasattr(row, column + end) else row[column + end]
        for end in BOUNDS
    )
    if pd.isna(value):
        return Cell("&ndash;")
    bounds = f"<small>[{low:z.{digits}f}, {high:z.{digits}f}]</small>"
    return Cell(f"{value:z.{digits}f}{'' if pd.isna(low) else bounds}", str(value))


def perhaps_none(row: Any, column: str) -> Cell:
    """Returns a standard deviation with its interval, or what it is below where it may be 0."""
    value, low, high = (row[column + end] for end in BOUNDS)
    if low >= NOTHING or high < NOTHING or (pd.isna(high) and not value < NOTHING):
        return bounded(row, column)
    said = "&ndash;" if pd.isna(high) else f"&lt;&nbsp;{rounded_up(high):.3f}"
    return Cell(f'<span title="not distinguishable from 0">{said}</span>', str(value))


def heading(metric: Metric) -> str:
    """Returns the title of a metric with the direction in which it is better."""
    return f"{escape(metric.title)}&nbsp;{ARROWS[metric.higher_is_better]}"


def name(study: StudyStatistics, backbone: str, method: str) -> Cell:
    """Returns a method with its colour."""
    colour = Looks(study.methods).colour(method)
    several = study.results.runs["backbone"].nunique() > 1
    where = f"<small>{escape(backbone)}</small>" if several else ""
    swatch = f'<span class="swatch" style="background:{colour}"></span>'
    return Cell(f"{swatch}{escape(study.looks.called(method))}{where}", escape(method), "text")


def number(value: float, title: str = "") -> Cell:
    """Returns a count, or a fraction with three digits; a dash when undefined."""
    if pd.isna(value):
        return Cell("&ndash;")
    shown = str(value) if isinstance(value, int) else f"{value:z.3f}"
    if title:
        shown = f'<span title="{escape(title)}">{shown}</span>'
    return Cell(shown, str(value))


def estimate(found: Any, sign: str = "") -> Cell:
    """Returns a row's mean with its interval below; a dash when there is no such row."""
    if found is None:
        return Cell("&ndash;")
    bounds = f"<small>[{found.low:{sign}z.3f}, {found.high:{sign}z.3f}]</small>"
    return Cell(
        f"{found.mean:{sign}z.3f}{'' if math.isnan(found.low) else bounds}", str(found.mean)
    )


def _export(kind: str) -> str:
    return f'<button class="export" data-format="{kind}">{EXPORTED[kind]}</button>'


def _th(cell: Cell) -> str:
    return f'<th scope="row"{_css(cell.css)} data-value="{cell.value}">{cell.html}</th>'


def _td(cell: Cell) -> str:
    return f'<td{_css(cell.css)} data-value="{cell.value}">{cell.html}</td>'


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""


def path(order: tuple[str, ...]) -> str:
    """Returns an order as it is read, from left to right."""
    return " &rarr; ".join(map(escape, order))
