"""What the page is put together from: figures, captions, choices, as HTML."""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape

from analysis.report.report_text import Fact


def figure(key: str, title: str, text: str, table: str) -> str:
    """Returns a place for a figure that the script draws, with its caption."""
    plot = f'<div class="plot" id="figure-{key}" role="img" aria-label="{escape(title)}"></div>'
    return f"<figure>{plot}{caption(text, table, True)}</figure>"


def about(text: str) -> str:
    """Returns the sentence below a heading."""
    return f'<p class="about">{escape(text)}</p>'


def caption(text: str, table: str, in_figure: bool = False) -> str:
    """Returns what a figure or table counts, with a link to its data."""
    link = f' <a href="tables/{table}.parquet">data</a>' if table else ""
    content = f"{escape(text)}{link}"
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
    """Returns a labelled choice; `traces` names the figure whose traces it shows."""
    values = range(len(options)) if values is None else values
    listed = "".join(
        f'<option value="{value}">{option}</option>'
        for value, option in zip(values, options, strict=True)
    )
    drives = f' data-traces="{traces}"' if traces else ""
    return f'<label class="{css}">{title}<select id="{key}"{drives}>{listed}</select></label>'


def details(summary: str, content: str) -> str:
    """Returns something that opens on a click."""
    return f"<details><summary>{summary}</summary>{content}</details>"


def tile(fact: Fact) -> str:
    """Returns a number at the top of the page."""
    detail = f"<small>{escape(fact.detail)}</small>" if fact.detail else ""
    return f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}{detail}</dd></div>"


def emphasised(sentence: str) -> str:
    """Returns a sentence as HTML, its **bold** names emphasised."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(sentence))


def as_json(content: object) -> str:
    """Returns JSON that may stand inside a script element."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
