"""How well the model tells images of one task from those of another as out of distribution."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.mechanisms.ood_relations import ood_pairs
from analysis.report import html_parts
from analysis.report.figure_style import (
    DIVERGING,
    MOST_NUMBERED,
    empty_figure,
    many,
    present,
    text,
)
from analysis.report.html_tables import Cell, bounded, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, row_with_most, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval, listed, plural

CHANCE = 0.5
"""AUROC of telling nothing apart."""
RELATIONS = {
    ("pairs", "image_text"): "Con_IT, images inside to texts outside",
    ("pairs", "text_image"): "Con_TI, texts inside to images outside",
    ("cost", "image_text"): "cost of the order (T3), with the cumulative AUROC",
}
MODELS = {"start": "untouched backbone", "end": "after the last stage"}


class OodHeatmap(Panel):
    """Shows the AUROC of every ordered pair of tasks; one trace per method."""

    key, title, table = "ood", "Are other tasks told apart?", "ood_pairs"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the AUROC of all pairs after the last stage."""
        return ood_pairs(study.results, study.runs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how to read rows and columns."""
        return (
            "By the classes of the task of a row, does an image of that task score higher (MCM) "
            "than one of the task of a column, which is out of distribution? 1: always, 0.5: by "
            "chance, below: the wrong way round."
        )

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns how many pairs are told apart, the worst pair, and what contributions say."""
        row = row_with_most(frame.assign(less=-frame["mean"]), "less")
        return (
            f"{_counted(frame)} Least told apart are {row.inside} from {row.outside}, with "
            f"{study.called(row.backbone, row.method)}: {interval(row.mean, row.low, row.high)}."
            f"{_related(study)}"
        )

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of a method."""
        shown = study.looks.labels(present(frame, study.baseline_first))
        return html_parts.select("ood-traces", "method", shown, traces=self.key)

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns the methods."""
        groups = present(frame, study.baseline_first)
        return [{"backbone": backbone, "method": method} for backbone, method in groups]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure:
        """Returns heat maps, of which the first is visible."""
        num = frame["inside"].nunique()
        figure = empty_figure(height=160 + 44 * num)
        reach = max(float((frame["mean"] - CHANCE).abs().max()), 0.05)
        for i, (backbone, method) in enumerate(present(frame, study.baseline_first)):
            part = group(frame, backbone, method)
            tasks = sorted(set(part["inside"]))
            cells = {(row.inside, row.outside): row for row in rows(part)}
            table_of = [[cells.get((one, other)) for other in tasks] for one in tasks]
            names = [text(task, 16) for task in tasks]
            figure.add_heatmap(
                z=[[None if row is None else row.mean for row in line] for line in table_of],
                customdata=[["" if row is None else _fact(row) for row in line]
                            for line in table_of],
                text=[["" if row is None else f"{row.mean:.2f}" for row in line]
                      for line in table_of],
                x=names, y=names, zmin=CHANCE - reach, zmax=CHANCE + reach, colorscale=DIVERGING,
                xgap=2, ygap=2, hovertemplate="%{customdata}<extra></extra>", hoverongaps=False,
                texttemplate="%{text}" if num <= MOST_NUMBERED else "",
                colorbar={"thickness": 12, "tickformat": ".2f"},
                name=study.looks.label(backbone, method, many(frame)), visible=i == 0,
            )  # fmt: skip
        figure.update_xaxes(title="out of distribution", showgrid=False)
        figure.update_yaxes(title="in distribution", autorange="reversed", showgrid=False)
        return figure

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns unit and numbers, and what the numbers do not say."""
        shown = present(frame, study.groups)
        lacking = sorted({m for b, m in study.groups if (b, m) not in shown})
        without = (
            f" Not defined for {listed(lacking)}, which have no one model for all tasks."
            if lacking
            else ""
        )
        same = frame[frame["shared"] > 0].drop_duplicates(["inside", "outside"])
        names = [f"{row.inside} and {row.outside}" for row in rows(same.head(3))]
        more = [f"{len(same) - 3} more pairs"] if len(same) > 3 else []
        shared = (
            f" Classes of one name are in {listed(names + more)}: images of these may show what is "
            "in distribution, so that a low AUROC is no fault."
            if names
            else ""
        )
        return (
            "Unit: AUROC after the last stage; MCM with temperature 1 on plain cosines; "
            f"{plural(int(frame['runs'].max()), 'run')} per method at most; 95 % t interval over "
            f"replicates (hover).{shared}{without}"
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the relation to contributions and the table of pairs, to be opened."""
        related = study.ood_relations
        pairs = [
            [
                name(study, row.backbone, row.method),
                Cell(text(row.inside), css="text"),
                Cell(text(row.outside), css="text"),
                bounded(pd.Series({"m": row.mean, "m_low": row.low, "m_high": row.high}), "m"),
                *(number(value) for value in (row.start, row.order_sd, row.shared)),
            ]
            for row in rows(frame)
        ]
        head = ["method", "inside", "outside", "AUROC", "untouched", "SD over orders", "shared"]
        note = (
            "Unit: AUROC; 95 % t interval over replicates. Shared: share of the images outside "
            "whose class has the name of a class inside."
        )
        shown = table("AUROC of pairs of tasks", head, pairs, sortable=True)
        found = html_parts.details(
            f"All {plural(len(frame), 'pair')}", shown + html_parts.caption(note, self.table)
        )
        return (_relations(study, related) if len(related) else "") + found


def _counted(frame: pd.DataFrame) -> str:
    """Returns how many pairs are told apart; those that nothing varies for have no interval."""
    known = frame.dropna(subset=["low", "high"])
    if known.empty:
        told = int((frame["mean"] > CHANCE).sum())
        return (
            f"After the last stage {told} of {plural(len(frame), 'pair')} of tasks have an AUROC "
            "above chance; how certain that is takes more replicates."
        )
    better, worse = (known["low"] > CHANCE).sum(), (known["high"] < CHANCE).sum()
    return (
        f"After the last stage {better} of {plural(len(known), 'pair')} of tasks are told apart "
        f"better than by chance and {worse} the wrong way round, each by its own interval."
    )


def _related(study: StudyStatistics) -> str:
    """Returns for which methods contributions are shown to go with the AUROC of pairs."""
    found = study.ood_relations
    found = found[(found["relation"] == "pairs") & (found["stage"] == "end")]
    found = found[found["contributions"] == "image_text"].dropna(subset=["r", "low", "high"])
    if found.empty:
        return ""
    shown = found[(found["low"] > 0) | (found["high"] < 0)]
    if shown.empty:
        return " That Con_IT goes with it is shown for no method."
    named = [
        f"{study.called(row.backbone, row.method)} (r = {interval(row.r, row.low, row.high, '+')})"
        for row in rows(shown)
    ]
    return f" Con_IT goes with it for {listed(named)}."


def _relations(study: StudyStatistics, related: pd.DataFrame) -> str:
    """Returns the table of correlations."""
    lines = [
        [
            name(study, row.backbone, row.method),
            Cell(RELATIONS[row.relation, row.contributions], css="text"),
            Cell(MODELS[row.stage], css="text"),
            bounded(pd.Series({"r": row.r, "r_low": row.low, "r_high": row.high}), "r"),
            number(row.p),
            number(int(row.size)),
        ]
        for row in rows(related)
    ]
    note = (
        "Unit: Pearson's r over pairs of tasks in a run, or over the orders of a replicate; "
        "95 % interval over replicates (Fisher's z), none where nothing varies. p: share of "
        "permutations of the tasks of the contributions with an r as large in size."
    )
    head = ["method", "contributions", "model", "r", "p", "pairs or runs"]
    shown = table("AUROC and contributions", head, lines, sortable=True)
    return html_parts.details(
        "Do contributions say it before?", shown + html_parts.caption(note, "ood_relations")
    )


def _fact(row: Any) -> str:
    """Returns what is known of a pair, for its hover."""
    return (
        f"images of {text(row.inside)} against {text(row.outside)}:<br>"
        f"{interval(row.mean, row.low, row.high)}, SD over orders {row.order_sd:.3f}<br>"
        f"untouched backbone {row.start:.3f}"
    )
