"""The report as Markdown, for terminals, pull requests and model cards."""

import re
from collections.abc import Sequence
from typing import Any

from analysis.data.results import MARK
from analysis.orders.comparison import BOUNDS, COMPARED
from analysis.orders.published import published_orders
from analysis.report.report_frames import by_metric, group, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import published_sentences, report_text
from analysis.report.text.phrases import interval, perhaps_none
from analysis.report.text.sentences import findings
from analysis.report.text.subject import Answer
from analysis.report.text.task_knowledge import NOTE

ARROWS = {True: "(up)", False: "(down)"}
"""By whether higher is better."""
MARKUP = re.compile(r"[\\`<|]|\](?=\()|(?<!\*)\*(?!\*)|(?<!\w)_|_(?!\w)")
"""What Markdown would read as code, HTML, a cell's end, a link or emphasis; ** is ours."""


def markdown(study: StudyStatistics, said: Sequence[Answer]) -> str:
    """Returns answers, findings, all metrics, worst and best orders, gaps, how it is computed.

    Args:
        study: what it is about.
        said: the answers about it.
    """
    parts = [
        f"# {literal(report_text.title(study))}",
        literal(report_text.lead(study)),
        "\n".join(answered(said)),
        table(
            ["", "", ""],
            [
                [literal(fact.value), fact.label, literal(fact.detail)]
                for fact in report_text.facts(study)
            ],
        ),
        "## Findings",
        "\n".join(f"- {literal(sentence)}" for sentence in findings(study))
        or "No run is complete yet.",
    ]
    if study.groups:
        parts += [
            "## Methods compared",
            _methods(study),
            report_text.sample(study).capitalize() + ".",
            "## All metrics",
            _metrics(study),
            f"Unit: fraction; {report_text.sample(study)}.",
        ]
        parts += map(literal, report_text.notes(study))
    if len(study.extremes):
        parts += ["## Worst and best orders", _extremes(study)]
    parts += [
        "## Missing and failed",
        _gaps(study),
        "## How it is computed",
        *report_text.methods_text(study),
    ]
    if MARK in "".join(parts):
        parts.insert(2, NOTE)
    parts += ["\n".join(f"- {metric.title}: {metric.formula}" for metric in study.metrics.values())]
    return "\n\n".join([*parts, f"Written by {report_text.versions(study)}."]) + "\n"


def markdown_of_scores(study: StudyStatistics) -> str:
    """Returns the report of results with one number per order."""
    scores, found = study.order_scores, published_orders(study.order_scores)
    columns = [name for name in found.columns if found[name].notna().any()]
    lines = [[literal(_plain(row[name])) for name in columns] for row in found.to_dict("records")]
    parts = [
        f"# {literal(report_text.title(study))}",
        literal(report_text.lead(study)),
        f"**{published_sentences.short_answer(found)}**",
        "\n".join(f"- {literal(said)}" for said in published_sentences.verdicts(found, scores)),
        table(columns, lines),
        "## What this cannot say",
        "\n".join(
            f"- {literal(said)}"
            for said in [*published_sentences.unsaid(found, scores), *scores.notes]
        ),
    ]
    return "\n\n".join([*parts, f"Written by {report_text.versions(study)}."]) + "\n"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def answered(said: Sequence[Answer]) -> list[str]:
    """Returns one line per answer, with its details below it."""
    several = len({answer.about for answer in said}) > 1
    lines = []
    for answer in said:
        where = f"{answer.about}: " if several else ""
        line = f"{where}{answer.question} **{answer.word}.** {answer.sentence}"
        lines += [f"- {literal(line)}", *(f"  - {literal(more)}" for more in answer.detail)]
    return lines


def table(head: list[str], lines: list[list[str]]) -> str:
    """Returns a table of cells that are Markdown themselves."""
    every = [list(map(literal, head)), ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)


def _methods(study: StudyStatistics) -> str:
    columns = [m for m in (*COMPARED, "order_sd", "cost") if study.methods_table[m].notna().any()]
    places = columns.index("order_sd") + 1 if "order_sd" in columns else len(columns)
    several = study.methods_table["backbone"].nunique() > 1
    lines = []
    for row in study.methods_table.to_dict("records"):
        cells = [interval(*(row[column + end] for end in BOUNDS)) for column in columns]
        cells.insert(places, perhaps_none(*(row["seed_sd" + end] for end in BOUNDS)))
        name = study.looks.called(row["method"])
        name += f" ({row['backbone']})" if several else ""
        lines.append(
            [literal(name), *(cell.replace("nan", "-") for cell in cells), str(row["runs"])]
        )
    known = study.metrics
    heads = {m: f"{known[m].title} {ARROWS[known[m].higher_is_better]}" for m in COMPARED}
    heads |= {"order_sd": "SD over orders", "cost": "training time (relative)"}
    titles = [heads[column] for column in columns]
    titles.insert(places, "SD over seeds")
    return table(["method", *titles, "runs"], lines)


def _metrics(study: StudyStatistics) -> str:
    by_group = [by_metric(study.summary, *pair) for pair in study.groups]
    lines = [
        [f"{literal(metric.title)} {ARROWS[metric.higher_is_better]}"]
        + [_estimate(found.get(key)) for found in by_group]
        for key, metric in study.metrics.items()
        if any(key in found for found in by_group)
    ]
    several = len({backbone for backbone, _ in study.groups}) > 1
    names = [
        study.looks.called(method) + (f" ({backbone})" if several else "")
        for backbone, method in study.groups
    ]
    return table(["metric", *names], lines)


def _estimate(found: Any) -> str:
    return interval(found.mean, found.low, found.high) if found else "-"


def _extremes(study: StudyStatistics) -> str:
    lines = [
        [
            literal(study.looks.called(row.method)),
            f"{row.which} {row.rank}",
            f"{row.average_accuracy:.3f}",
            literal(" > ".join(row.order)),
            code(row.command),
        ]
        for pair in study.groups
        for row in rows(group(study.extremes, *pair))
    ]
    return table(["method", "", f"average {study.words.noun}", "order", "train it again"], lines)


def _gaps(study: StudyStatistics) -> str:
    gaps = study.progress[study.progress["complete"] < study.progress["planned"]]
    if gaps.empty:
        return "All planned runs are complete."
    gaps = gaps.assign(method=gaps["method"].map(study.looks.called))
    return table(list(gaps.columns), [[literal(str(value)) for value in row] for row in rows(gaps)])


def literal(text: str) -> str:
    r"""Returns a text or a sentence with **bold** names, safe for a line of Markdown.

    >>> print(literal("a|b <i> of **[x](y)**"))
    a\|b \<i> of **[x\](y)**
    """
    return MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))


def code(text: str) -> str:
    r"""Returns a text as code that may stand in a table.

    >>> print(code("echo `date` | cat"))
    ``echo `date` \| cat``
    """
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " * (text[:1] == "`" or text[-1:] == "`")
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")
