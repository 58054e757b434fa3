"""The sections on contributions of all kinds and on how methods fail."""

import pandas as pd

from analysis.mechanisms.failure_modes import MEASURES
from analysis.report import cells, parts, tables, words
from analysis.report.figures import label
from analysis.report.findings import plural
from analysis.report.frames import rows
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.report.tables import Cell, bounded, number

RESPONSES = {
    "accuracy_before": "accuracy, task before",
    "accuracy_new": "accuracy, new task",
    "loss_before": "loss, task before",
    "loss_new": "loss, new task",
}


def pairs(study: Study) -> Section:
    """Every contribution with its robustness."""
    if study.cells.empty:
        return Section("pairs", "", "")
    about = (
        "A contribution is worth knowing if another order would show it, too. ~ marks those that "
        "the order moves more than they amount to; hover for all that is known of one."
    )
    several = len({backbone for backbone, _ in study.groups}) > 1
    names = [
        f"{cells.KINDS[kind]}: {label(backbone, method, several)}"
        for kind, backbone, method in cells.shown(study.cells, study.baseline_first)
    ]
    chosen = parts.select("pair-traces", "contribution", names, css="wide", traces="pairs")
    caption = (
        "Unit: fraction for accuracy, cosine between images and texts (less that of the untouched "
        f"backbone); {words.sample(study.summary)} (hover)."
    )
    body = f'<div class="controls">{chosen}</div>' * bool(names)
    body += parts.figure("pairs", "How robust contributions are", caption, "cells") * bool(names)
    body += robust_table(study)
    return Section("pairs", "How robust contributions are", parts.about(about) + body)


def robust_table(study: Study) -> str:
    """All contributions of one kind and method on one line."""
    lines = [
        [
            Cell(row.kind.replace("_", " to "), css="text"),
            tables.name(study, row.backbone, row.method),
            *map(number, (row.cells, row.certain, row.order_sd, row.seed_sd, row.signal)),
            *map(number, (row.sign, row.tau, row.position, row.predecessor)),
        ]
        for row in rows(study.kinds)
    ]
    head = ["kind", "method", "number", "certain", "SD over orders", "SD over seeds", "signal"]
    head += ["same sign", "order agreement", "by position", "by predecessor"]
    caption = (
        "Unit: medians over the contributions of a kind, except: certain, the share whose 95 % "
        "interval excludes no change; order agreement, Kendall's tau of the contributions in two "
        "runs. Signal: mean^2 / (mean^2 + variance over orders). Same sign: runs up minus down, "
        "without its sign. By position and predecessor: omega^2, explained inside replicates."
    )
    table = tables.table(head, lines, sortable=True)
    return (
        f"<details><summary>All kinds</summary>{table}{parts.caption(caption, 'kinds')}</details>"
    )


def modes(study: Study) -> Section:
    """Failure modes, stage by stage."""
    if study.failure_modes.empty:
        return Section("modes", "", "")
    about = (
        "Do image and text features drift apart, do tasks interfere, does zero-shot ability erode? "
        "Every failure mode has measures of its own."
    )
    there = [name for name in MEASURES if name in set(study.failure_modes["measure"])]
    formulas = "; ".join(f"{MEASURES[name].label}: {MEASURES[name].formula}" for name in there)
    caption = (
        f"Unit: cosine, distance of unit vectors or fraction, by stage; "
        f"{words.sample(study.summary)} (hover). {formulas}."
    )
    plot = parts.figure("modes", "Failure modes", caption, "failure_modes")
    return Section("modes", "Failure modes", parts.about(about) + plot)


def foretold(study: Study) -> Section:
    """Whether cross-modal contributions foretell transitions."""
    found = study.transition_models
    if found.empty:
        return Section("foretold", "", "")
    about = (
        "On going from one task to the next, do the contributions of its images to the next one's "
        "texts, and of its texts to the next one's images, foretell what changes?"
    )
    lines = [_regression(study, row) for _, row in found.iterrows()]
    head = ["method", "change of", "scores", "image to text", "text to image", "R2", "R2 outside"]
    caption = (
        f"Unit: change of accuracy (fraction) or loss (nats) per unit of cosine; "
        f"{plural(int(found['transitions'].max()), 'transition')} per method at most; 95 % t "
        "interval over replicates, each fitted by itself. Frozen: scores of the untouched "
        "backbone, adaptive: just before the stage. R2 outside: each replicate foretold by the "
        "others. Same sign: of foretold and found changes."
    )
    table = tables.table([*head, "same sign", "transitions"], lines, sortable=True)
    body = table + parts.caption(caption, "transition_models")
    return Section("foretold", "Do contributions foretell transitions?", parts.about(about) + body)


def _regression(study: Study, row: pd.Series) -> list[Cell]:
    return [
        tables.name(study, row["backbone"], row["method"]),
        Cell(RESPONSES[row["response"]], css="text"),
        Cell(row["scores"], css="text"),
        *(bounded(row, column) for column in ("image_text", "text_image")),
        *(number(row[column]) for column in ("r2", "r2_out", "sign")),
        number(int(row["transitions"])),
    ]
