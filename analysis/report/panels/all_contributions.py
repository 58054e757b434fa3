"""Contributions between images, texts, modalities and towers, with how robust each is."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.report import html_parts
from analysis.report.figure_style import (
    DIVERGING,
    MOST_NUMBERED,
    Groups,
    empty_figure,
    many,
    present,
    text,
)
from analysis.report.html_tables import Cell, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import interval, listed, perhaps_none

KINDS = {
    "image_text": "images of a task to texts of a task",
    "image_image": "images of a task to images of a task",
    "text_text": "texts of a task to texts of a task",
    "modality": "modality to {noun} on a task",
    "mm_shap": "modality to the fit of image and text (MM-SHAP)",
    "tower": "update of a tower to {noun} on a task",
}
"""Kinds that are shown here as heat maps, besides those of tasks, which have a figure of their own;
noun: of a score; "text_image" is "image_text" with its axes exchanged."""


class AllContributions(Panel):
    """Shows the other contributions with their robustness; a trace per kind and method."""

    key, title, table = "pairs", "Contributions of all kinds", "contribution_table"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns all contributions."""
        return study.contribution_table

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what ~ means."""
        if not traces_of(frame, study.baseline_first):
            return "How robust are the contributions of each kind over orders and seeds?"
        return (
            "What do images, texts, modalities and towers contribute, and would another order show "
            "it, too? ~ marks what the order moves more than it amounts to."
        )

    def is_open(self, frame: pd.DataFrame, study: StudyStatistics) -> bool:
        """Returns whether there are other contributions than those of tasks to accuracies."""
        return bool(traces_of(frame, study.baseline_first))

    def controls(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the choice of kind and method."""
        several = len({backbone for backbone, _ in study.groups}) > 1
        names = [
            f"{_called(kind, study)}: {study.looks.label(backbone, method, several)}"
            for kind, backbone, method in traces_of(frame, study.baseline_first)
        ]
        if not names:
            return ""
        return html_parts.select("pair-traces", "contribution", names, css="wide", traces=self.key)

    def options(self, frame: pd.DataFrame, study: StudyStatistics) -> list[dict[str, str]]:
        """Returns kinds and methods."""
        traces = traces_of(frame, study.baseline_first)
        return [{"kind": str(k), "backbone": b, "method": m} for k, b, m in traces]

    def draw(self, frame: pd.DataFrame, study: StudyStatistics) -> go.Figure | None:
        """Returns heat maps, of which the first is visible; None for contributions to metrics."""
        traces = traces_of(frame, study.baseline_first)
        if not traces:
            return None
        most = max((frame["player"].nunique(), frame["target"].nunique()))
        figure = empty_figure(height=160 + 44 * min(most, 24))
        for i, (kind, backbone, method) in enumerate(traces):
            part = group(frame[frame["kind"] == kind], backbone, method)
            wide = part.assign(
                fact=[_fact(row) for row in rows(part)], shown=[_short(row) for row in rows(part)]
            )
            z, fact, short = (
                wide.pivot(index="player", columns="target", values=column)
                for column in ("drift", "fact", "shown")
            )
            limit = max(float(part["drift"].abs().max()), 1e-9)
            few = max(z.shape) <= MOST_NUMBERED
            figure.add_heatmap(
                z=z.to_numpy(), customdata=fact.to_numpy(), text=short.to_numpy(),
                x=[text(name, 16) for name in z.columns], y=[text(name, 16) for name in z.index],
                zmin=-limit, zmax=limit, colorscale=DIVERGING, xgap=2, ygap=2,
                texttemplate="%{text}" if few else "", visible=i == 0,
                hovertemplate="%{customdata}<extra></extra>",
                colorbar={"thickness": 12, "tickformat": ".2f"},
                name=f"{_called(kind, study)}: {study.looks.label(backbone, method, many(frame))}",
            )  # fmt: skip
        figure.update_xaxes(title="contribution to", showgrid=False)
        figure.update_yaxes(title="contribution of", autorange="reversed", showgrid=False)
        return figure

    def finding(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns what part of each kind is robust."""
        shown = frame[frame["kind"].isin(KINDS)]
        parts = [
            f"{(part['signal'] < 0.5).sum()} of {len(part)} {_called(kind, study)}"
            for kind in KINDS
            if len(part := shown[(shown["kind"] == kind) & shown["signal"].notna()])
        ]
        if not parts:
            return ""
        return f"The order moves more than they amount to: {listed(parts)}."

    def caption(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns units and numbers."""
        return (
            f"Unit: fraction for {study.words.plural}, cosine between images and texts (less that "
            f"of the untouched backbone); {report_text.sample(study)} (hover)."
        )

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of kinds, to be opened."""
        return robust_table(study)


def _called(kind: str, study: StudyStatistics) -> str:
    return KINDS[kind].format(noun=study.words.noun)


def traces_of(frame: pd.DataFrame, groups: Groups) -> list[tuple[str, str, str]]:
    """Returns (kind, backbone, method) of the traces."""
    kinds = [kind for kind in KINDS if kind in set(frame["kind"])]
    parts = {kind: frame[frame["kind"] == kind] for kind in kinds}
    return [(kind, *pair) for kind in kinds for pair in present(parts[kind], groups)]


def robust_table(study: StudyStatistics) -> str:
    """Returns all contributions of one kind and method on one line."""
    lines = [
        [
            Cell(row.kind.replace("_", " to "), css="text"),
            name(study, row.backbone, row.method),
            *map(number, (row.contributions, row.certain, row.order_sd, row.seed_sd, row.signal)),
            *map(number, (row.sign, row.tau, row.position, row.predecessor)),
        ]
        for row in rows(study.contribution_types)
    ]
    head = ["kind", "method", "number", "certain", "SD over orders", "SD over seeds", "signal"]
    head += ["same sign", "order agreement", "by position", "by predecessor"]
    caption = (
        "Unit: medians over the contributions of a kind, except: certain, the share whose 95 % "
        "interval excludes no change; order agreement, Kendall's tau of the contributions in two "
        "runs. Signal: mean^2 / (mean^2 + variance over orders). Same sign: runs up minus down, "
        "without its sign. By position and predecessor: omega^2, explained inside replicates."
    )
    shown = table("Contributions of all kinds", head, lines, sortable=True)
    shown += html_parts.caption(caption, "contribution_types")
    return html_parts.details("All kinds in one table", shown)


def _short(row: Any) -> str:
    """Returns the number in a cell; "~" where the order moves it more than it amounts to."""
    return f"{'~' if row.signal < 0.5 else ''}{row.drift:z.3f}"


def _fact(row: Any) -> str:
    moved = "" if row.mean == row.drift else f", {row.drift:+z.3f} since stage 0"
    seed = (row.seed_sd, row.seed_sd_low, row.seed_sd_high)
    seeds = "" if pd.isna(row.seed_sd) else f", over seeds {perhaps_none(*seed)}"
    lines = [
        f"{text(row.player)} to {text(row.target)}:",
        f"{interval(row.mean, row.low, row.high)}{moved}",
        f"SD over orders {row.order_sd:.3f}{seeds}; worst tenth {row.worst_tenth:z.3f}",
        f"up minus down {row.sign:+.0%} of {row.runs} runs",
    ]
    if pd.notna(row.signal):
        lines[-1] += f"; signal {row.signal:.2f}"
    if pd.notna(row.position):
        lines.append(
            f"explained: by position {row.position:.0%}, by what came before {row.predecessor:.0%}"
        )
    return "<br>".join(lines)
