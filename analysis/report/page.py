"""The page: panels in the order in which they are read, put into one template."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any, NamedTuple

import pandas as pd
from plotly.offline import get_plotlyjs

from analysis.data.results import MARK
from analysis.report import html_parts
from analysis.report.embedded_data import embedded, packed
from analysis.report.figure_style import INK
from analysis.report.latex import MARKS
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.task_knowledge import INLINE, NOTE

FIRST = "Answer"
"""The chapter of the first screen, which has no heading to be seen."""
CLOSED = ("Similarity", "Certainty", "Runs", "Setup")
"""Chapters to look things up in: their panels open on a click."""


class Filled(NamedTuple):
    """Holds a panel with what it shows."""

    panel: Panel
    frame: pd.DataFrame

    @property
    def is_shown(self) -> bool:
        """Returns whether it is on the page."""
        return self.panel.is_always_shown or not self.frame.empty


def page(
    study: StudyStatistics, filled: Sequence[Filled], tables: Mapping[str, pd.DataFrame]
) -> str:
    """Returns the report as one HTML document that loads nothing from elsewhere.

    Args:
        study: what it is about.
        filled: its panels.
        tables: what is written beside it, by file name; the page holds what it refers to itself.
    """
    shown = [part for part in filled if part.is_shown]
    drawn = {part.panel.key: part.panel.draw(part.frame, study) for part in shown}
    figures = {
        key: json.loads(found.to_json()) for key, found in drawn.items() if found is not None
    }
    chapters = in_chapters(shown)
    main = "".join(_chapter(study, name, sections, figures) for name, sections in chapters.items())
    data = embedded(tables, used=html_parts.tables_in(main))
    here = resources.files("analysis.report")
    return Template((here / "template.html").read_text("utf-8")).substitute(
        title=escape(report_text.title(study)),
        size=escape(report_text.size(study)),
        nav="".join(f'<a href="#{html_parts.chapter_id(name)}">{name}</a>' for name in chapters),
        main=main,
        figures=html_parts.as_json(figures),
        ink=INK,
        browser=html_parts.as_json(study.browser),
        tables=html_parts.as_json(data),
        marks=html_parts.as_json(MARKS),
        footer=f"Written by {escape(report_text.versions(study))}.",
        css=(here / "style.css").read_text("utf-8"),
        reading=(here / "reading.js").read_text("utf-8"),
        script=(here / "report.js").read_text("utf-8"),
        plotly=packed(get_plotlyjs()),
    )


Sections = dict[str, list[Filled]]
"""Panels that share a heading, by the key of the first."""


def in_chapters(shown: Sequence[Filled]) -> dict[str, Sections]:
    """Returns the sections of every chapter that has any, in the order of the page."""
    chapters: dict[str, Sections] = {}
    chapter = FIRST
    for part in shown:
        chapter = part.panel.chapter or chapter
        sections = chapters.setdefault(chapter, {})
        home = part.panel.section
        sections.setdefault(home if home in sections else part.panel.key, []).append(part)
    return chapters


Figures = Mapping[str, Any]
"""As plotly's JSON, by the key of their panel."""


def _chapter(study: StudyStatistics, name: str, sections: Sections, drawn: Figures) -> str:
    """Returns a heading and what stands below it."""
    css = " hidden" if name == FIRST else ""
    heading = f'<h2 class="chapter{css}">{name}</h2>'
    bodies = (_section(study, name, parts, drawn) for parts in sections.values())
    place = html_parts.chapter_id(name)
    return f'<section class="chapter" id="{place}">{heading}{"".join(bodies)}</section>'


def _section(study: StudyStatistics, chapter: str, parts: Sequence[Filled], drawn: Figures) -> str:
    """Returns the heading of the first panel, and then all of them."""
    first = parts[0].panel
    body = "".join(_body(study, part, part.panel.key in drawn) for part in parts)
    is_marked = any(MARK in text for text in (body, *map(str, _of(parts, drawn))))
    if study.told and is_marked and INLINE not in body:
        body += html_parts.caption(NOTE, "")
    title = f"<h3>{escape(first.heading(study))}</h3>"
    if chapter == FIRST:
        title = f'<h3 class="hidden">{escape(first.heading(study))}</h3>'
        return f'<div id="{first.key}" class="panel {first.key}">{title}{body}</div>'
    is_open = chapter not in CLOSED and first.is_open(parts[0].frame, study)
    return html_parts.panel(first.key, title, body, is_open)


def _of(parts: Sequence[Filled], drawn: Figures) -> list[Any]:
    return [drawn[part.panel.key] for part in parts if part.panel.key in drawn]


def _body(study: StudyStatistics, part: Filled, is_drawn: bool) -> str:
    panel, frame = part
    about, controls = panel.about(frame, study), panel.controls(frame, study)
    shown = html_parts.about(about) if about else ""
    shown += f'<div class="controls">{controls}</div>' if controls else ""
    if is_drawn:
        text, finding = panel.caption(frame, study), panel.finding(frame, study)
        is_said = panel.chapter != FIRST  # where the answers beside it say it already
        shown += html_parts.figure(
            panel.key, panel.heading(study), text, panel.table, finding, is_said
        )
    return shown + panel.below(frame, study)
