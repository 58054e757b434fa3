"""The page: panels in the order in which they are read, put into one template."""

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template
from typing import NamedTuple

import pandas as pd
from plotly.offline import get_plotlyjs

from analysis.report import html_parts, report_text
from analysis.report.figure_style import INK
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics


class Filled(NamedTuple):
    """Holds a panel with what it shows."""

    panel: Panel
    frame: pd.DataFrame

    @property
    def is_shown(self) -> bool:
        """Returns whether it is on the page."""
        return self.panel.is_always_shown or not self.frame.empty


def page(study: StudyStatistics, filled: Sequence[Filled]) -> str:
    """Returns the report as one HTML document that loads nothing from elsewhere."""
    shown = [part for part in filled if part.is_shown]
    drawn = {part.panel.key: part.panel.draw(part.frame, study) for part in shown}
    figures = {
        key: json.loads(found.to_json()) for key, found in drawn.items() if found is not None
    }
    sections: dict[str, list[Filled]] = {}
    for part in shown:
        home = part.panel.section
        sections.setdefault(home if home in sections else part.panel.key, []).append(part)
    here = resources.files("analysis.report")
    return Template((here / "template.html").read_text("utf-8")).substitute(
        title=escape(report_text.title(study)),
        lead=escape(report_text.lead(study)),
        tiles="".join(map(html_parts.tile, report_text.facts(study))),
        nav="".join(f'<a href="#{key}">{key.capitalize()}</a>' for key in sections),
        sections="".join(_section(study, parts, set(figures)) for parts in sections.values()),
        figures=html_parts.as_json(figures),
        ink=INK,
        browser=html_parts.as_json(study.browser),
        footer=f"Written by {escape(report_text.versions(study))}.",
        css=(here / "style.css").read_text("utf-8"),
        script=(here / "report.js").read_text("utf-8"),
        plotly=get_plotlyjs(),
    )


def _section(study: StudyStatistics, parts: Sequence[Filled], drawn: set[str]) -> str:
    """Returns the heading of the first panel, and then all of them."""
    first = parts[0].panel
    body = "".join(_body(study, part, part.panel.key in drawn) for part in parts)
    title = f"<h2>{escape(first.title)}</h2>"
    return f'<section id="{first.key}" class="{first.key}">{title}{body}</section>'


def _body(study: StudyStatistics, part: Filled, is_drawn: bool) -> str:
    panel, frame = part
    about, controls = panel.about(frame, study), panel.controls(frame, study)
    shown = html_parts.about(about) if about else ""
    shown += f'<div class="controls">{controls}</div>' if controls else ""
    if is_drawn:
        text = panel.caption(frame, study)
        shown += html_parts.figure(panel.key, panel.title, text, panel.table)
    return shown + panel.below(frame, study)
