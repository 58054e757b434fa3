"""How figures look: one colour and one symbol per method, in every figure."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C8C8C"]
"""Okabe & Ito (2008), safe for colour-blind readers; without yellow and black, which one of the
two backgrounds swallows."""
SYMBOLS = ["circle", "square", "triangle-up", "x", "cross", "star", "triangle-down"]
SYMBOL_VARIANTS = ["", "-open", "-open-dot", "-dot"]
"""Of the symbol of a method, one per backbone."""
SCALE = "Viridis"
"""For accuracies: even in lightness, safe for colour-blind readers."""
DIVERGING = "RdBu"
"""For differences: two hues that colour-blind readers tell apart, pale in the middle."""
INK = "#5b6472"
"""Of lines and marks that belong to no method; readable on light and on dark paper."""

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 16, "r": 16, "t": 16, "b": 48},
        "xaxis": {"zeroline": False, "gridcolor": "rgba(128,128,128,.2)"},
        "yaxis": {"automargin": True, "zeroline": False, "gridcolor": "rgba(128,128,128,.2)"},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        "hoverlabel": {"align": "left"},
    }
)


COLUMNS = 3
"""Of small multiples."""
Multiples = tuple[go.Figure, list[dict[str, int]]]
"""A figure of small multiples, and where each is: arguments of its `add_trace`."""


def small_multiples(
    titles: Sequence[str], row: int, head: int, gap: float, **axes: Any
) -> Multiples:
    """Returns plots of equal size, at most COLUMNS beside one another, the legend below them.

    Args:
        titles: of the panels.
        row: height of a row of panels, in pixels.
        head: what is above and below all rows.
        gap: between two rows.
        axes: for plotly's `make_subplots`.
    """
    columns = max(1, min(COLUMNS, len(titles)))
    lines = max(1, -(-len(titles) // columns))
    height = head + row * lines
    figure = make_subplots(
        lines, columns, subplot_titles=list(titles), vertical_spacing=gap / height, **axes
    )
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"t": 36},
        legend={"y": -40 / height, "yanchor": "top"},
    )
    places = [{"row": i // columns + 1, "col": i % columns + 1} for i in range(len(titles))]
    return figure, places


class Looks:
    """Gives every method a colour and a symbol."""

    def __init__(self, methods: Iterable[str]) -> None:
        self._places = {method: i for i, method in enumerate(sorted(set(methods)))}

    def colour(self, method: str) -> str:
        """Returns a hex colour; colours repeat after seven methods, with other symbols."""
        return COLOURS[self._places[method] % len(COLOURS)]

    def symbol(self, method: str) -> str:
        """Returns a plotly marker symbol."""
        place = self._places[method]
        return SYMBOLS[(place + place // len(COLOURS)) % len(SYMBOLS)]


def text(name: str, width: int = 24) -> str:
    """Returns a name for plotly, which reads HTML: escaped, and shortened to `width` characters."""
    return escape(name if len(name) <= width else name[: width - 1] + "\u2026", quote=False)


Groups = Sequence[tuple[str, str]]
"""(backbone, method), in the order in which they are shown."""


def empty_figure(**layout: object) -> go.Figure:
    """Returns a figure with the look of all others and nothing in it."""
    return go.Figure(layout={"template": TEMPLATE, **layout})


def present(frame: pd.DataFrame, groups: Groups) -> Groups:
    """Returns the groups that a frame has rows of."""
    there = set(zip(frame["backbone"], frame["method"], strict=True))
    return [pair for pair in groups if pair in there]


def many(frame: pd.DataFrame) -> bool:
    """Returns whether methods have to be told apart by their backbone, too."""
    return bool(frame["backbone"].nunique() > 1)


def label(backbone: str, method: str, with_backbone: bool, between: str = " ") -> str:
    """Returns how a method is called in figures."""
    return text(method) + (f"{between}({text(backbone)})" if with_backbone else "")


def labels(groups: Groups) -> list[str]:
    """Returns how methods are called in choices."""
    several = len({backbone for backbone, _ in groups}) > 1
    return [label(*pair, several) for pair in groups]
