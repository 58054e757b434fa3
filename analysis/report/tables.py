"""The tables of the report, as HTML."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import pandas as pd

from analysis.orders.comparison import BOUNDS, COMPARED
from analysis.orders.steadiness import FEW
from analysis.report.frames import by_metric, group, rows
from analysis.report.study import Study
from analysis.report.style import Looks
from analysis.run_metrics.metric import METRICS

ARROWS = {True: "&uarr;", False: "&darr;"}
"""By whether higher is better."""


class Cell(NamedTuple):
    """A table cell: HTML, what it sorts by, and its CSS class."""

    html: str
    value: str = ""
    css: str = ""


def table(head: Sequence[str], lines: Sequence[Sequence[Cell]], sortable: bool = False) -> str:
    """An HTML table; headings and cells are HTML already."""
    kinds = [cell.css for cell in lines[0]] if lines else [""] * len(head)
    titles = (f"<button>{title}</button>" if sortable else title for title in head)
    top = "".join(
        f'<th scope="col"{_css("text" if css in ("text", "order") else "")}>{title}</th>'
        for title, css in zip(titles, kinds, strict=True)
    )
    body = "".join(f"<tr>{''.join(_td(cell) for cell in row)}</tr>" for row in lines)
    css = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll"><table{css}><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def method_table(study: Study) -> str:
    """One row per method: what it reaches, how far orders move it, what it costs."""
    known = [metric for metric in COMPARED if study.methods_table[metric].notna().any()]
    robust = study.robustness.set_index(["backbone", "method"])
    head = ["method", heading("average_accuracy"), f"vs {escape(study.baseline or '')}"]
    head += ["SD over orders", "SD over seeds", "range of 5 orders", "worst tenth"]
    head += [heading(metric) for metric in known[1:]]
    costs = bool(study.methods_table["cost"].notna().any())
    head += ["training time"] * costs + ["runs"]
    lines = []
    for row in rows(study.methods_table):
        spread = robust.loc[(row.backbone, row.method)]
        compared = by_metric(study.comparison, row.backbone, row.method).get("average_accuracy")
        cells = [bounded(row, "average_accuracy"), _verdict(compared)]
        cells += [bounded(row, "order_sd"), number(row.seed_sd), bounded(spread, "range_5")]
        cells.append(number(spread["bad_order_average"]))
        cells += [bounded(row, metric) for metric in known[1:]]
        cells += [bounded(row, "cost", 2)] * costs
        lines.append([name(study, row.backbone, row.method), *cells, number(row.runs)])
    return table(head, lines, sortable=True)


def _verdict(compared: Any) -> Cell:
    """How a method stands to the baseline, in a word; the baseline itself has none."""
    if compared is None:
        return Cell("&ndash;", css="text")
    note = f"{compared.mean:+.3f} [{compared.low:+.3f}, {compared.high:+.3f}]"
    word = compared.verdict
    return Cell(f'<span class="verdict {word}" title="{note}">{word}</span>', word, "text")


def bounded(row: Any, column: str, digits: int = 3) -> Cell:
    """A column of a row with its _low and _high below."""
    value, low, high = (
        getattr(row, column + end) if hasattr(row, column + end) else row[column + end]
        for end in BOUNDS
    )
    if pd.isna(value):
        return Cell("&ndash;")
    bounds = f"<small>[{low:z.{digits}f}, {high:z.{digits}f}]</small>"
    return Cell(f"{value:z.{digits}f}{'' if pd.isna(low) else bounds}", str(value))


def all_metrics(study: Study) -> str:
    """Every metric of every method, one row per metric."""
    head = ["metric", *(name(study, *pair).html for pair in study.groups)]
    by_group = [by_metric(study.summary, *pair) for pair in study.groups]
    lines = [
        [Cell(heading(metric), metric), *(estimate(found.get(metric)) for found in by_group)]
        for metric in METRICS
        if any(metric in found for found in by_group)
    ]
    return table(head, lines)


def comparison_table(study: Study) -> str:
    """Every method against the baseline, paired."""
    lines = []
    for pair in study.groups:
        row = by_metric(study.comparison, *pair).get("average_accuracy")
        if row is not None:
            counts = (row.wins, row.ties, row.runs - row.wins - row.ties)
            rate = Cell(f"{row.win_rate:.0%}", str(row.win_rate))
            p = [number(row.p_holm), number(row.p_max_t)]
            cells = [estimate(row, "+"), _verdict(row), number(row.p_rope), *p]
            lines.append([name(study, *pair), *cells, *map(number, counts), rate])
    head = ["method", "difference", "verdict", "P(no matter)", "p (Holm)", "p (max-T)"]
    return table([*head, "better", "equal", "worse", "win rate"], lines, True)


def steadiness_table(study: Study) -> str:
    """The spread over orders of every method, relative to the baseline's."""
    lines = [
        [
            name(study, row.backbone, row.method),
            bounded(row, "ratio", 2),
            number(row.p_holm),
            Cell(f"{row.few_low:.2f} to {row.few_high:.2f}", str(row.few_high)),
            Cell(f"{row.reversed:.0%}", str(row.reversed)),
        ]
        for row in rows(study.steadiness.sort_values(["backbone", "ratio", "method"]))
    ]
    head = ["method", f"SD over orders, {escape(study.baseline or '')} = 1", "p (Holm)"]
    return table([*head, f"what {FEW} orders show", "the opposite"], lines, True)


def extremes_table(study: Study) -> str:
    """The worst and best runs, each with its command."""
    lines = [
        [
            name(study, row.backbone, row.method),
            Cell(f"{row.which} {row.rank}", css="text"),
            number(row.average_accuracy),
            number(row.forgetting_max),
            number(row.replicate),
            Cell(f"{_path(row.order)}{_command(row.command, row.place)}", css="order"),
        ]
        for pair in study.groups
        for row in rows(group(study.placed(study.extremes), *pair))
    ]
    head = [
        "method",
        "",
        "average accuracy",
        "forgetting",
        "replicate",
        "order, and how to train it again",
    ]
    return table(head, lines)


def progress_table(study: Study) -> str:
    """Replicates that are not whole."""
    lines = [
        [
            name(study, row.backbone, row.method),
            *(number(n) for n in (row.replicate, row.planned, row.complete, row.failed)),
        ]
        for row in rows(study.progress)
        if row.complete < row.planned
    ]
    head = ["method", "replicate", "planned runs", "complete", "with a failed stage"]
    return table(head, lines)


def failures_table(study: Study, limit: int) -> str:
    """The first failed stages, each with its error."""
    lines = [
        [
            name(study, row.backbone, row.method),
            number(row.replicate),
            Cell(_path(row.prefix) or "stage 0", css="order"),
            Cell(f"<code>{escape(str(row.error or 'no message'))}</code>", css="order"),
        ]
        for row in rows(study.results.failures.head(limit))
    ]
    return table(["method", "replicate", "stage", "error"], lines)


def evaluations_table(study: Study) -> str:
    """What is evaluated after every stage."""
    backbones = list(study.evaluations.columns[4:])
    lines = [
        [
            Cell(escape(row["eval_task"]), css="text"),
            Cell(escape(row["split"]), css="text"),
            Cell(escape(row["metric"].replace("_", " ")), css="text"),
            number(int(row["n"]) if row["n"] else math.nan),
            *(number(row[backbone]) for backbone in backbones),
        ]
        for _, row in study.evaluations.iterrows()
    ]
    head = ["name", "kind", "metric", "test samples"]
    return table([*head, *(f"stage 0, {escape(backbone)}" for backbone in backbones)], lines)


def heading(metric: str) -> str:
    """The label of a metric with the direction in which it is better."""
    return f"{escape(METRICS[metric].title)}&nbsp;{ARROWS[METRICS[metric].higher_is_better]}"


def name(study: Study, backbone: str, method: str) -> Cell:
    """A method with its colour."""
    colour = Looks(study.methods).colour(method)
    several = study.results.runs["backbone"].nunique() > 1
    where = f"<small>{escape(backbone)}</small>" if several else ""
    swatch = f'<span class="swatch" style="background:{colour}"></span>'
    return Cell(f"{swatch}{escape(method)}{where}", escape(method), "text")


def number(value: float, title: str = "") -> Cell:
    """A count, or a fraction with three digits; a dash when undefined."""
    if pd.isna(value):
        return Cell("&ndash;")
    shown = str(value) if isinstance(value, int) else f"{value:z.3f}"
    if title:
        shown = f'<span title="{escape(title)}">{shown}</span>'
    return Cell(shown, str(value))


def estimate(found: Any, sign: str = "") -> Cell:
    """A row's mean with its interval below; a dash when there is no such row."""
    if found is None:
        return Cell("&ndash;")
    bounds = f"<small>[{found.low:{sign}z.3f}, {found.high:{sign}z.3f}]</small>"
    return Cell(
        f"{found.mean:{sign}z.3f}{'' if math.isnan(found.low) else bounds}", str(found.mean)
    )


def _td(cell: Cell) -> str:
    return f'<td{_css(cell.css)} data-value="{cell.value}">{cell.html}</td>'


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""


def _path(order: tuple[str, ...]) -> str:
    return " &rarr; ".join(map(escape, order))


def _command(command: str, place: int) -> str:
    mark = f'<button class="mark" data-place="{place}">show in all figures</button>'
    if not command:
        return f"<br>{mark}"
    shown = escape(command)
    copy = f'<button class="copy" data-text="{shown}">copy</button>'
    return f"<br><code>{shown}</code> {copy} {mark}"
