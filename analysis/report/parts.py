"""What the page is put together from: sections, figures, captions, choices, as HTML."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from analysis.report import words


class Section(NamedTuple):
    """One part of the page; `key` is its name in the menu, an empty `html` leaves it out."""

    key: str
    title: str
    html: str


def figure(key: str, title: str, text: str, table: str) -> str:
    """A figure to be drawn by the script, with its caption."""
    plot = f'<div class="plot" id="figure-{key}" role="img" aria-label="{title}"></div>'
    return f"<figure>{plot}{caption(text, table, True)}</figure>"


def about(text: str) -> str:
    """The sentence below a heading."""
    return f'<p class="about">{escape(text)}</p>'


def caption(text: str, table: str, in_figure: bool = False) -> str:
    """What a figure or table counts, with a link to its data."""
    content = f'{escape(text)} <a href="tables/{table}.parquet">data</a>'
    return (
        f"<figcaption>{content}</figcaption>" if in_figure else f'<p class="caption">{content}</p>'
    )


def select(
    key: str,
    title: str,
    options: Sequence[str],
    values: Iterable[object] | None = None,
    css: str = "",
    traces: str = "",
) -> str:
    """A labelled choice; `traces` names the figure whose traces it shows."""
    values = range(len(options)) if values is None else values
    listed = "".join(
        f'<option value="{value}">{option}</option>'
        for value, option in zip(values, options, strict=True)
    )
    drives = f' data-traces="{traces}"' if traces else ""
    return f'<label class="{css}">{title}<select id="{key}"{drives}>{listed}</select></label>'


def tile(fact: words.Fact) -> str:
    """A number at the top of the page."""
    detail = f"<small>{escape(fact.detail)}</small>" if fact.detail else ""
    return f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}{detail}</dd></div>"


def framed(part: Section) -> str:
    """A section as HTML."""
    return f'<section id="{part.key}" class="{part.key}"><h2>{part.title}</h2>{part.html}</section>'


def as_json(content: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
