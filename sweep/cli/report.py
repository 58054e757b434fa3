"""The report of a run."""

import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis import write_report
from analysis.data.given_results import TABLES
from analysis.report.text.answers import said_in, spoken
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


def verdict(report: str) -> str:
    """Returns the first answer of a report that has been written, in a line per backbone.

    Args:
        report: the path or URI of its report.html.
    """
    folder = Folder(posixpath.dirname(report))
    table = folder.read_table("tables/answers.parquet")
    said = said_in(table.to_pandas())
    first = [answer for answer in said if answer.question == said[0].question]
    return "\n".join(spoken(answer, len(first) > 1) for answer in first)


def _study_in(folder: Folder) -> dict[str, Any]:
    """Returns a run's study as written; does not validate it, since its data may be elsewhere."""
    if not folder.exists("study.yaml"):
        return {}
    content: dict[str, Any] = yaml.safe_load(folder.read("study.yaml"))
    return content
