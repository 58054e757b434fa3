"""Every method against every other on the same orders."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.inference.estimates import ROPE
from analysis.report import html_parts
from analysis.report.figure_style import DIVERGING, MOST_NUMBERED, empty_figure, text
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import NOTHING, interval, listed, plural

MOST_NAMED = 3
"""Pairs of a kind that a sentence names; of more it gives the number."""
MARKS = {"better": "<b>{}</b>", "equivalent": "= {}"}
"""How a cell shows what is decided on average."""
EMPTY = (None, "", "")
"""A cell without a pair."""
CHANGES = "\u21c4"
"""Marks pairs of which each is ahead in more than a tenth of the orders."""


class MethodPairsMatrix(Panel):
    """Shows the difference of every pair of contenders, with marks for what is decided."""

    key, title, table = "method_pairs", "Pairs of methods", "method_pairs"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns all contenders against each other; nothing for fewer than two."""
        return study.survival

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return (
            "Which methods differ on the same orders, and which differences does the order turn "
            "round?"
        )

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether there are more pairs than those with the baseline."""
        return len(frame) > 1

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of a backbone, where there are several."""
        backbones = [text(backbone, 60) for backbone in dict.fromkeys(frame["backbone"])]
        if len(backbones) < 2:
            return ""
        return html_parts.select("method-pair-traces", "backbone", backbones, traces=self.key)

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns the backbones."""
        return [{"backbone": backbone} for backbone in _names(frame, study)]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns a heat map per backbone, of which the first is visible."""
        most = max(len(part) for part in _names(frame, study).values())
        figure = empty_figure(height=110 + max(26, min(44, 900 // most)) * most)
        limit = max(float(frame["mean"].abs().max()), NOTHING)
        for i, (backbone, names) in enumerate(_names(frame, study).items()):
            part = frame[frame["backbone"] == backbone]
            found = {(row.method, row.other): row for row in rows(part)}
            cells = [
                [_cell(found, upper, lower, study) if k <= j else EMPTY
                 for j, lower in enumerate(names[1:])]
                for k, upper in enumerate(names[:-1])
            ]  # fmt: skip
            ticks = [study.looks.tick("", name, False) for name in names]
            figure.add_heatmap(
                z=[[cell[0] for cell in line] for line in cells],
                text=[[cell[1] for cell in line] for line in cells],
                customdata=[[cell[2] for cell in line] for line in cells],
                x=ticks[1:], y=ticks[:-1], zmin=-limit, zmax=limit, colorscale=DIVERGING,
                xgap=2, ygap=2, hoverongaps=False, visible=i == 0, name=text(backbone),
                texttemplate="%{text}" if len(names) <= MOST_NUMBERED else "",
                hovertemplate="%{customdata}<extra></extra>",
                colorbar={"thickness": 12, "tickformat": "+.2f"},
            )  # fmt: skip
        figure.update_xaxes(title="minus", showgrid=False, automargin=True)
        figure.update_yaxes(
            title=f"average {study.words.noun} of", autorange="reversed", showgrid=False
        )
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which pairs are decided, which are not, and which the order turns round."""
        said = []
        for backbone, part in frame.groupby("backbone"):
            on = f" on {backbone}" if frame["backbone"].nunique() > 1 else ""
            said.append(f"Of {plural(len(part), 'pair')}{on}, {_kinds(part, study)}")
        return f"{'. '.join(said)}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit, numbers and marks."""
        known = frame["verdict_low"].notna()
        runs = plural(int(frame["runs"].max()), "run")
        if not known.any():
            return (
                f"Unit: difference of fractions; n = {runs} per pair; no interval and nothing "
                "decided (it takes two complete replicates). References are left out."
                f"{report_text.compared_within(study)}"
            )
        replicates = plural(int(frame.loc[known, "replicates"].max()), "replicate")
        return (
            f"Unit: difference of fractions; n = {runs} per pair; 95 % t interval over "
            f"{replicates} (hover), Holm over all pairs of a backbone. Bold: better or worse by "
            f"more than {ROPE}; =: equivalent within {ROPE}; {CHANGES}: each of the two is ahead "
            "in more than a tenth of the orders. References are left out, so that p and intervals "
            "are not those of the paired differences."
            f"{report_text.compared_within(study)}"
        )


def _names(frame: pd.DataFrame, study: StudyStatistics) -> dict[str, list[str]]:
    """Returns the methods of every backbone that are in a pair, best first."""
    there = {(row.backbone, name) for row in rows(frame) for name in (row.method, row.other)}
    found: dict[str, list[str]] = {}
    for backbone, method in study.contenders:
        if (backbone, method) in there:
            found.setdefault(backbone, []).append(method)
    return found


def _cell(
    found: dict[tuple[str, str], Any], row: str, column: str, study: StudyStatistics
) -> tuple[Any, str, str]:
    """Returns value, text and hover of a cell: the method of the row minus that of the column."""
    sign = 1 if (row, column) in found else -1
    pair = found.get((row, column)) or found.get((column, row))
    if pair is None:
        return EMPTY
    value = sign * pair.mean
    shown = MARKS.get(pair.verdict, "{}").format(f"{value:+z.3f}")
    low, high = sorted((sign * pair.verdict_low, sign * pair.verdict_high))
    ahead, behind = (pair.wins, pair.losses)[::sign]
    fact = (
        f"{study.looks.name(row)} minus {study.looks.name(column)}: "
        f"{interval(value, low, high, '+')}<br>"
        f"ahead in {ahead} of {pair.runs} runs, behind in {behind}"
    )
    return value, f"{shown} {CHANGES}" if pair.survives == "no" else shown, fact


def _kinds(part: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns the pairs of one backbone by what is known of them."""
    kinds = {
        "decided": part[part["verdict"] == "better"],
        "equivalent": part[part["verdict"] == "equivalent"],
        "undecided": part[~part["verdict"].isin(["better", "equivalent"])],
        "turned round by the order": part[part["survives"] == "no"],
    }
    said = []
    for kind, mine in kinds.items():
        if len(mine) > MOST_NAMED:
            said.append(f"{len(mine)} {kind}")
        elif len(mine):
            said.append(f"{kind}: {listed([_named(row, kind, study) for row in rows(mine)])}")
    return "; ".join(said)


def _named(row: Any, kind: str, study: StudyStatistics) -> str:
    """Returns one pair, with its difference where it is about that."""
    method, other = map(study.looks.called, (row.method, row.other))
    if kind.startswith("turned"):
        return f"{method} and {other}"
    value = interval(row.mean, row.verdict_low, row.verdict_high, "+")
    return f"{method} {'above' if kind == 'decided' else 'and'} {other} ({value})"
