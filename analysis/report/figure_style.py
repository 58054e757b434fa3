"""How figures look: a colour on the page means one thing.

Hues of COLOURS are methods, SCALE is accuracy, DIVERGING is a difference, and all else is INK in
several strengths and dashes. Reference points are hollow and dashed.
"""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from math import floor, isfinite, log10
from textwrap import wrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.data.results import MARK, called
from analysis.report.text.phrases import listed

COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C8C8C"]
"""Okabe & Ito (2008), safe for colour-blind readers; without yellow and black, which one of the
two backgrounds swallows."""
SYMBOLS = ["circle", "square", "triangle-up", "x", "triangle-left", "star", "triangle-down"]
GLYPHS = ["\u25cf", "\u25a0", "\u25b2", "\u2716", "\u25c0", "\u2605", "\u25bc"]
"""SYMBOLS as characters, for names on axes and in tables."""
HOLLOW_GLYPHS = ["\u25cb", "\u25a1", "\u25b3", "\u2715", "\u25c1", "\u2606", "\u25bd"]
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
        "xaxis": {"automargin": True, "zeroline": False, "gridcolor": "rgba(128,128,128,.2)"},
        "yaxis": {"automargin": True, "zeroline": False, "gridcolor": "rgba(128,128,128,.2)"},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        "hoverlabel": {"align": "left"},
    }
)


TITLE = 40
"""Height of a title, in pixels."""
HEIGHT = 450
"""Of a figure that does not say its own, in pixels."""
MOST_NUMBERED = 12
"""Rows or columns of a heat map up to which its cells hold their numbers."""
COLUMNS = 3
"""Of small multiples."""
Multiples = tuple[go.Figure, list[dict[str, int]]]
"""A figure of small multiples, and where each is: arguments of its `add_trace`."""


def small_multiples(
    titles: Sequence[str], row: int, x: str, y: str = "", legend: bool = True, **axes: Any
) -> Multiples:
    """Returns plots of equal size, at most COLUMNS beside one another, the legend below them.

    Args:
        titles: of the plots; long ones are broken, so that neighbours do not meet.
        row: height of a row of plots, in pixels.
        x: the title of all horizontal axes.
        y: that of all vertical axes.
        legend: whether there is one.
        axes: for plotly's `make_subplots`.
    """
    columns = max(1, min(COLUMNS, len(titles)))
    lines = max(1, -(-len(titles) // columns))
    gap, foot = 64, 52 + 44 * legend
    height = 40 + row * lines + gap * (lines - 1) + foot
    plots = height - 40 - foot
    figure = make_subplots(
        lines,
        columns,
        subplot_titles=[broken(title) for title in titles],
        vertical_spacing=gap / plots,
        **({"horizontal_spacing": 0.07} | axes),
    )
    figure.update_annotations(font_size=13)
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"t": 40, "b": foot, "l": 72 if y else 16},
        legend={"y": -56 / plots, "yanchor": "top"},
    )
    outer = {"showarrow": False, "xref": "paper", "yref": "paper", "font": {"size": 13}}
    figure.add_annotation(text=x, x=0.5, y=0, yshift=-26, yanchor="top", **outer)
    if y:
        turned = {"xshift": -52, "xanchor": "right", "textangle": -90}
        figure.add_annotation(text=y, x=0, y=0.5, **turned, **outer)
    places = [{"row": i // columns + 1, "col": i % columns + 1} for i in range(len(titles))]
    return figure, places


def broken(title: str, width: int = 16) -> str:
    """Returns a title on several lines.

    >>> broken("Cosine of matching pairs")
    'Cosine of<br>matching pairs'
    """
    return "<br>".join(wrap(title, width, break_long_words=False, break_on_hyphens=False))


def steps(values: Iterable[float], most: int = 6) -> dict[str, int]:
    """Returns the ticks of an axis of whole numbers: each of them, or as many as there is room for.

    >>> steps(range(12))
    {'dtick': 2}
    """
    found = list(values)
    return {"dtick": max(1, -(-int(max(found) - min(found) + 1) // most))}


def decimals(values: Iterable[float]) -> str:
    """Returns the format of the ticks of an axis, so that no two of them read alike.

    >>> decimals([0.40, 0.75]), decimals([0.001, 0.04])
    ('.2f', '.3f')
    """
    found = [value for value in values if isfinite(value)]
    reach = max(found) - min(found) if found else 0
    return f".{min(max(2, -floor(log10(reach / 10))), 5) if reach else 2}f"


class Looks:
    """Gives every method a colour and a symbol.

    Attributes:
        references: methods that are no contenders: hollow, and dashed.
        told: methods that are told the task of test data: their names have a mark.
    """

    def __init__(
        self,
        methods: Iterable[str],
        references: Collection[str] = (),
        backbones: Iterable[str] = (),
        told: Collection[str] = (),
    ) -> None:
        self._places = {method: i for i, method in enumerate(sorted(set(methods)))}
        self._backbones = sorted(set(backbones))
        self.references = frozenset(references)
        self.told = frozenset(told)

    def colour(self, method: str) -> str:
        """Returns a hex colour; colours repeat after seven methods, with other symbols."""
        return COLOURS[self._places[method] % len(COLOURS)]

    def symbol(self, method: str, backbone: str = "") -> str:
        """Returns a plotly marker symbol; every second backbone has a dot in it."""
        is_second = backbone in self._backbones and self._backbones.index(backbone) % 2
        hollow = "-open" if method in self.references else ""
        return SYMBOLS[self._shape(method)] + hollow + ("-dot" if is_second else "")

    def marker(self, method: str, backbone: str = "", size: int = 6) -> dict[str, Any]:
        """Returns a plotly marker."""
        symbol = self.symbol(method, backbone)
        larger = 2 * (method in self.references)  # hollow marks look smaller than full ones
        return {"color": self.colour(method), "symbol": symbol, "size": size + larger}

    def line(self, method: str, width: float = 1.5) -> dict[str, Any]:
        """Returns a plotly line."""
        dash = "dash" if method in self.references else "solid"
        return {"color": self.colour(method), "width": width, "dash": dash}

    def glyph(self, method: str) -> str:
        """Returns the symbol as a character, as HTML in the colour of the method."""
        shapes = HOLLOW_GLYPHS if method in self.references else GLYPHS
        return f'<span style="color:{self.colour(method)}">{shapes[self._shape(method)]}</span>'

    def tick(self, backbone: str, method: str, with_backbone: bool) -> str:
        """Returns a method as axes call it: symbol, name, and backbone below."""
        return f"{self.glyph(method)} {self.label(backbone, method, with_backbone, '<br>')}"

    def called(self, method: str) -> str:
        """Returns the name of a method, with its mark."""
        return called(method, self.told)

    def listed(self, methods: Sequence[str]) -> str:
        """Returns methods as a sentence lists them, each with its mark."""
        return listed([self.called(method) for method in methods])

    def name(self, method: str) -> str:
        """Returns the name of a method for plotly: escaped and shortened, with its mark."""
        return text(method) + (MARK if method in self.told else "")

    def label(self, backbone: str, method: str, with_backbone: bool, between: str = " ") -> str:
        """Returns how a method is called in figures."""
        return self.name(method) + (f"{between}({text(backbone)})" if with_backbone else "")

    def labels(self, groups: "Groups") -> list[str]:
        """Returns how methods are called in choices."""
        several = len({backbone for backbone, _ in groups}) > 1
        return [self.label(*pair, several) for pair in groups]

    @property
    def note(self) -> str:
        """Returns the sentence on hollow marks and dashed lines, for captions; "" without any."""
        shown = sorted(self.references & set(self._places))
        return f" Hollow or dashed: reference points ({self.listed(shown)})." if shown else ""

    def _shape(self, method: str) -> int:
        place = self._places[method]
        return (place + place // len(COLOURS)) % len(SYMBOLS)


def text(name: str, width: int = 24) -> str:
    """Returns a name for plotly, which reads HTML: escaped, and shortened to `width` characters."""
    return escape(name if len(name) <= width else name[: width - 1] + "\u2026", quote=False)


Groups = Sequence[tuple[str, str]]
"""(backbone, method), in the order in which they are shown."""


def empty_figure(**layout: object) -> go.Figure:
    """Returns a figure with the look of all others and nothing in it."""
    return go.Figure(layout={"template": TEMPLATE, **layout})


def titled(figure: go.Figure, title: str) -> go.Figure:
    """Returns a figure with a title, which the page says in a heading; plots keep their size."""
    if figure.layout.title.text:
        return figure
    top = figure.layout.margin.t
    if top is None:
        top = figure.layout.template.layout.margin.t or 0
    place = {"x": 0, "y": 1, "xref": "container", "yref": "container", "yanchor": "top"}
    figure.update_layout(
        title={"text": title, "font": {"size": 16}, "pad": {"l": 16, "t": 14}, **place},
        margin={"t": top + TITLE},
        height=(figure.layout.height or HEIGHT) + TITLE,
    )
    return figure


def present(frame: pd.DataFrame, groups: Groups) -> Groups:
    """Returns the groups that a frame has rows of."""
    there = set(zip(frame["backbone"], frame["method"], strict=True))
    return [pair for pair in groups if pair in there]


def many(frame: pd.DataFrame) -> bool:
    """Returns whether methods have to be told apart by their backbone, too."""
    return bool(frame["backbone"].nunique() > 1)
