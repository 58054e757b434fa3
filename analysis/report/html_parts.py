"""What the page is put together from: figures, captions, choices, as HTML."""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape

DATA = re.compile(r'data-table="([^"]+)"')


def chapter_id(name: str) -> str:
    """Returns the anchor of a chapter."""
    return f"chapter-{name.lower()}"


def panel(key: str, title: str, body: str, is_open: bool) -> str:
    """Returns a part of the page with its own anchor, which opens and closes."""
    mark = f'<a class="anchor" href="#{key}" aria-label="Link to this part">#</a>'
    state = " open" if is_open else ""
    return (
        f'<div id="{key}" class="panel {key}">{mark}<details{state}><summary>{title}</summary>'
        f'<div class="inside">{body}</div></details></div>'
    )


def figure(key: str, title: str, text: str, table: str, finding: str) -> str:
    """Returns a place for a figure that the script draws, with its caption.

    Args:
        key: of the panel.
        title: likewise.
        text: what the figure counts.
        table: name of the table behind it; "": none.
        finding: what it shows; it stands above the figure and is its text alternative.
    """
    said = f'<p class="finding">{emphasised(finding)}</p>' if finding else ""
    label = escape(f"{title}: {finding.replace('**', '') or text}", quote=True)
    plot = f'<div class="plot" id="figure-{key}" role="img" aria-label="{label}"></div>'
    exports = "".join(
        f'<button class="export" data-figure="{key}" data-format="{kind}" '
        f'aria-label="{escape(title)} as {kind.upper()}">{kind.upper()}</button>'
        for kind in EXPORTS
    )
    return (
        f'<figure>{said}<div class="sheet">{plot}</div>{caption(text, table, True)}'
        f'<div class="exports">{exports}</div></figure>'
    )


EXPORTS = ("svg", "png", "pdf")
"""Formats in which a figure can be saved; PDF is printed by the browser."""


def tables_in(html: str) -> set[str]:
    """Returns the names of the tables that captions link to."""
    return set(DATA.findall(html))


def about(text: str) -> str:
    """Returns the sentence below a heading."""
    return f'<p class="about">{escape(text)}</p>'


def caption(text: str, table: str, in_figure: bool = False) -> str:
    """Returns what a figure or table counts, with a link to its data."""
    link = f' <a data-table="{table}" href="tables/{table}.parquet">data</a>' if table else ""
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


def emphasised(sentence: str) -> str:
    """Returns a sentence as HTML, its **bold** names emphasised."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(sentence))


def as_json(content: object) -> str:
    """Returns JSON that may stand inside a script element."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
