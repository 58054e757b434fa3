"""The report of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis import write_report
from analysis.data.final_scores import OrderScores
from analysis.data.given_results import TABLES, read_results
from analysis.orders.published import published_orders
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.answers import spoken
from analysis.report.text.published_sentences import short_answer
from analysis.report.text.ranking_answers import survives
from analysis.report.text.subject import subjects
from sweep.errors import InputError
from sweep.orders.order import read_order
from sweep.storage.folder import Folder
from sweep.storage.planned import NOWHERE
from sweep.study.reporting import parts_of_report


def report(
    source: str,
    *others: str,
    out: str | None = None,
    published: Sequence[str] = (),
    score: str | None = None,
    order: str | None = None,
    figures: Sequence[str] = (),
    tables: Sequence[str] = (),
) -> str:
    """Writes report.html, report.md and tables/; returns the report's path.

    Given more than one run, writes one report that compares them, in a folder beside the first. It
    has the metrics and panels of installed packages, and those that any of the studies names.

    Args:
        source: A run folder, or a file or folder with results of another tool.
        others: More of them.
        out: Where the report goes; by default into the run folder, or beside a file.
        published: Orders that count as published ones.
        score: The column of scores, in a file with one number per order.
        order: Tasks in learning order, for files that only number them, as `read_order` reads it.
        figures: Formats in which figures are written as files, too.
        tables: Likewise.

    Raises:
        InputError: there are no results, or they cannot be read.
    """
    sources = (source, *others)
    folders = [Folder(path) for path in sources if not Path(path).expanduser().is_file()]
    for folder in folders:
        if not folder.exists():
            is_file = Path(folder.uri).suffix in TABLES
            raise InputError(
                f"There is no file '{folder.uri}'." if is_file else NOWHERE.format(folder.uri)
            )
    panels, metrics = parts_of_report([_study_in(folder) for folder in folders])
    tasks = None if order is None else read_order(order)
    try:
        return str(
            write_report(
                *sources, out=out, panels=panels, metrics=metrics, published=tuple(published),
                score=score, order=tasks, figure_formats=figures, table_formats=tables,
            )
        )  # fmt: skip
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from None


def verdict(
    source: str, published: Sequence[str] = (), score: str | None = None, order: str | None = None
) -> str:
    """Returns the first answer of a report, in a line per backbone.

    That is whether the ranking survives another order, or for a file with one number per order
    whether the published one is like the others.
    """
    tasks = None if order is None else read_order(order)
    found = read_results(source, score=score, order=tasks).results
    if isinstance(found, OrderScores):
        return short_answer(published_orders(found.marked(published)))
    said = [survives(about) for about in subjects(StudyStatistics(found))]
    return "\n".join(spoken(answer, len(said) > 1) for answer in said)


def _study_in(folder: Folder) -> dict[str, Any]:
    """Returns a run's study as written; does not validate it, since its data may be elsewhere."""
    if not folder.exists("study.yaml"):
        return {}
    content: dict[str, Any] = yaml.safe_load(folder.read("study.yaml"))
    return content
