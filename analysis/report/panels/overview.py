"""The one figure beside the answers: methods, and which of them do not differ."""

from string import ascii_letters
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.figure_style import INK, empty_figure, many
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.needs import groups_alike
from analysis.report.text.phrases import interval
from analysis.report.text.subject import BackboneResults, subjects

BAR = 11
"""Pixels from one bar that joins methods to the next."""


class Overview(Panel):
    """Shows mean, interval and spread over orders of every method, and joins what is alike."""

    key, title, table = "overview", "Methods at a glance", "overview"
    chapter = "Answer"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns a row per method: contenders best first, then references.

        Its columns: backbone, method, is_reference, knows_task (None: not known), mean, low, high
        (of average accuracy), worst and best (order seen; NaN where no order moves it), alike
        (letters: two contenders that share one are not shown to differ; "" where untested).
        """
        found = [row for about in subjects(study) for row in _rows(about)]
        found.sort(key=lambda row: (row["backbone"], row["is_reference"]))
        names = ["backbone", "method", "is_reference", "knows_task", "mean", "low", "high"]
        return pd.DataFrame(found, columns=[*names, "worst", "best", "alike"])

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a row per method, and on the right bars that join what is alike."""
        places = _places(frame)
        figure = empty_figure(
            height=int(96 + 34 * (max(places, default=0) + 1)),
            showlegend=False,
            margin={"t": 12, "b": 52, "l": 12, "r": 16 + BAR * _most_bars(frame)},
        )
        several = many(frame)
        for y, row in zip(places, rows(frame), strict=True):
            _method(figure, row, y, study)
        for above, below in _borders(frame, places):
            figure.add_shape(
                type="line", xref="paper", x0=0, x1=1, y0=(above + below) / 2,
                y1=(above + below) / 2, line={"color": INK, "width": 1, "dash": "dash"},
            )  # fmt: skip
        figure.update_yaxes(
            tickvals=places,
            ticktext=[study.looks.tick(r.backbone, r.method, several) for r in rows(frame)],
            range=[max(places, default=0) + 0.6, -0.6],
            showgrid=False,
        )
        figure.update_xaxes(title=f"average {study.words.noun}", tickformat=".2f", nticks=6)
        ends = frame[["mean", "low", "high", "worst", "best"]].to_numpy(float)
        first, last = float(np.nanmin(ends)), float(np.nanmax(ends))
        pad = 0.04 * max(last - first, 0.02)  # marks at the ends have a width, too
        figure.update_xaxes(range=[first - pad, last + pad])
        for backbone, part in frame.groupby("backbone", sort=False):
            at = dict(zip(part["method"], np.array(places)[part.index], strict=True))
            for i, names in enumerate(_groups(part)):
                _bar(figure, [float(at[name]) for name in names], i, str(backbone))
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the means of the methods, and which are joined."""
        said = []
        for backbone, part in frame.groupby("backbone", sort=False):
            on = f"On {backbone}: " if many(frame) else ""
            means = [
                f"{study.looks.called(row.method)} {interval(row.mean, row.low, row.high)}"
                f"{' (reference)' if row.is_reference else ''}"
                for row in rows(part)
            ]
            groups = [study.looks.listed(names) for names in _groups(part)]
            joined = f" Not shown to differ: {'; '.join(groups)}." if groups else ""
            said.append(f"{on}Average {study.words.noun}: {', '.join(means)}.{joined}")
        return " ".join(said)

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what marks, bands and bars are."""
        references = "".join(
            f" Hollow, below the dashed line: reference ({study.looks.listed(sorted(names))})."
            for names in [set(frame.loc[frame["is_reference"], "method"])]
            if names
        )
        band = ""
        if frame["worst"].notna().any():
            band = " Pale band: worst to best order, all seeds."
        return (
            f"Unit: fraction; {report_text.sample(study)}.{band}{_joined(frame)}"
            f"{report_text.compared_within(study)}{references}"
        )


def _rows(about: BackboneResults) -> list[dict[str, Any]]:
    letters: dict[str, str] = {}
    tested = about.pairs[about.pairs["verdict_low"].notna()]
    compared = {*tested["method"], *tested["other"]}
    groups = groups_alike([name for name in about.methods if name in compared], about.better)
    start = 0 if about.is_first else len(ascii_letters)  # others have letters of their own
    for i, names in enumerate(groups if compared else [], start):
        for name in names:
            letters[name] = letters.get(name, "") + _letter(i)
    ranges = {(row.backbone, row.method): row for row in rows(about.study.robustness)}
    found = []
    for name in (*about.methods, *about.references):
        estimate, pair = about.estimates[name], (about.backbone, name)
        seen = ranges[pair] if pair in about.study.moved else None
        found.append(
            {"backbone": about.backbone, "method": name, "is_reference": name in about.references}
            | {"knows_task": about.study.results.knows_task[name]}
            | {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
            | {"worst": seen.worst if seen else np.nan, "best": seen.best if seen else np.nan}
            | {"alike": letters.get(name, "")}
        )
    return found


def _letter(number: int) -> str:
    """Returns one character per group, however many there are."""
    return ascii_letters[number] if number < len(ascii_letters) else chr(0x100 + number)


def _groups(part: pd.DataFrame) -> list[list[str]]:
    """Returns the methods of one backbone that share a letter, two or more."""
    letters = sorted({letter for letters in part["alike"] for letter in letters})
    groups = [[r.method for r in rows(part) if letter in r.alike] for letter in letters]
    return [names for names in groups if len(names) > 1]


def _most_bars(frame: pd.DataFrame) -> int:
    return max((len(_groups(part)) for _, part in frame.groupby("backbone")), default=0)


def _places(frame: pd.DataFrame) -> list[float]:
    """Returns the height of every row: with room for a line above references and backbones."""
    found, last = [], None
    at = -1.0
    for row in rows(frame):
        kind = (row.backbone, row.is_reference, not row.is_reference and row.knows_task is True)
        at += 1.0 if last in (None, kind) else 1.4
        found.append(at)
        last = kind
    return found


def _borders(frame: pd.DataFrame, places: list[float]) -> list[tuple[float, float]]:
    """Returns the heights of the rows above and below every line above references."""
    kinds = list(zip(frame["backbone"], frame["is_reference"], strict=True))
    return [
        (places[i - 1], places[i])
        for i in range(1, len(kinds))
        if kinds[i] == (kinds[i - 1][0], True) and not kinds[i - 1][1]
    ]


def _method(figure: go.Figure, row: Any, y: float, study: StudyStatistics) -> None:
    colour = study.looks.colour(row.method)
    if np.isfinite(row.worst):
        figure.add_scatter(
            x=[row.worst, row.best], y=[y, y], mode="lines", opacity=0.3,
            line={"color": colour, "width": 9},
            hovertemplate="worst to best order: %{x:.3f}<extra></extra>",
        )  # fmt: skip
    bars = None
    if np.isfinite(row.low):
        up, down = row.high - row.mean, row.mean - row.low
        bars = {"array": [up], "arrayminus": [down], "color": INK, "thickness": 2, "width": 4}
    said = interval(row.mean, row.low, row.high)
    figure.add_scatter(
        x=[row.mean], y=[y], mode="markers", error_x=bars,
        marker=study.looks.marker(row.method, row.backbone, 9),
        hovertemplate=f"mean {said}<extra>{study.looks.name(row.method)}</extra>",
    )  # fmt: skip


def _bar(figure: go.Figure, heights: list[float], number: int, backbone: str) -> None:
    """Joins rows on the right of the plot: a line, with a dot at every row that it joins."""
    x = 8 + BAR * number
    common = {"xref": "paper", "xsizemode": "pixel", "xanchor": 1}
    figure.add_shape(
        type="line", x0=x, x1=x, y0=min(heights), y1=max(heights),
        line={"color": INK, "width": 3}, name=f"alike {backbone}", **common,
    )  # fmt: skip
    for y in heights:
        figure.add_shape(
            type="circle", x0=x - 4, x1=x + 4, ysizemode="pixel", yanchor=y, y0=-4, y1=4,
            fillcolor=INK, line={"width": 0}, **common,
        )  # fmt: skip


def _joined(frame: pd.DataFrame) -> str:
    if not frame["alike"].any():
        return " Which methods differ is not tested: it takes two methods in two replicates."
    if not _most_bars(frame):
        return " All differences between contenders are shown (Holm, all pairs)."
    return (
        " Bars on the right join methods that are not shown to differ by more than half a point "
        "(Holm, all pairs of a backbone)."
    )
