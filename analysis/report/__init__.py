"""The report of a study: one page that needs nothing else, and the tables behind it.

In: run folders, or files of other tools. Out: report.html, report.md, tables/*.parquet.
"""

import io
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from analysis.data.accuracy_matrices import combine
from analysis.data.comparability import told_apart
from analysis.data.final_scores import NO_MATRICES, OrderScores
from analysis.data.given_results import of_study, read_results
from analysis.data.locations import distinct_names, open_folder
from analysis.data.results import Results
from analysis.report.dataset_card import card
from analysis.report.export import alone, check_formats, images, texts
from analysis.report.markdown import markdown, markdown_of_scores
from analysis.report.page import Filled, page
from analysis.report.panels import with_own
from analysis.report.panels.base import Panel
from analysis.report.panels.methods_by_order import MethodsByOrder
from analysis.report.panels.published_order import PublishedOrder
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import published_sentences
from analysis.report.text.answers import as_table, said_in
from analysis.run_metrics.metric import Metric

IN_MEMORY = "report"
"""The folder of the report of results that come from no folder."""


def write_report(
    results: str | Results | OrderScores,
    *others: str,
    out: str | None = None,
    panels: Iterable[Panel] = (),
    metrics: Iterable[Metric] = (),
    published: Sequence[str] = (),
    score: str | None = None,
    order: Sequence[str] | None = None,
    figure_formats: Sequence[str] = (),
    table_formats: Sequence[str] = (),
) -> str:
    """Writes OUT/report.html, report.md, CARD.md (for the Hub) and tables/*.parquet.

    Works while the study is still running: runs that are not complete are listed and left out.
    The same results give the same bytes.

    Args:
        results: a run folder, as a local path or a URI; a file or folder of another tool, see
            `read_results`; or results themselves.
        others: more of them, to be compared with the first.
        out: where the report goes. By default into the run folder; for a file into a folder beside
            it, "results-report" for results.csv; for several into a folder beside the first one
            that is called after all, "a+b+c"; for results themselves into "report", below the
            working directory.
        panels: of your own, which stand on the page where they ask to.
        metrics: of your own, which stand in the table of all metrics.
        published: orders to hold against the others as published ones: by their label, by the name
            of a published order such as "mtil-1", or by their tasks as "a>b>c".
        score: the column of scores, in a file with one number per order.
        order: names of the tasks in learning order, for files that only number them.
        figure_formats: in which figures are also written into OUT/figures: "svg", "pdf", "png".
        table_formats: in which tables are written beside their parquet files: "csv", "tex".

    Returns:
        The path or URI of report.html.

    Raises:
        FileNotFoundError: a folder holds no results.
        ValueError: two panels, tables or metrics have the same name; a format is unknown, or what
            writes figures is not installed; a file cannot be read; there
            is no order of that label, or none is published in a file with one number per order; or
            results themselves were to be compared with folders.

    >>> write_report('nowhere')
    Traceback (most recent call last):
    ...
    FileNotFoundError: 'nowhere' holds no results: no rows in results/*.parquet.
    """
    check_formats(figure_formats, table_formats)
    found, home, configs, marked, apart = studies_in(results, others, score, order)
    home = home if out is None else posixpath.expanduser(str(out))
    if isinstance(found, OrderScores):
        return _write_scores(found.marked(published), home, figure_formats, table_formats)
    study = StudyStatistics(found, tuple(metrics), configs, apart, (*marked, *published))
    filled = [Filled(panel, panel.frame(study)) for panel in with_own(panels)]
    tables = tables_of(study, filled)
    drawn = _images(filled, study, figure_formats)  # may fail, so before anything is written
    folder = _with_parts(home, tables, table_formats, drawn, study)
    _write(folder, "report.md", markdown(study, said_in(tables["answers"])).encode())
    if found.folder is not None:
        _write(folder, "CARD.md", card(study, tables).encode())
    _write(folder, "report.html", page(study, filled, tables).encode())
    return posixpath.join(home, "report.html")


def _write_scores(
    scores: OrderScores, home: str, figure_formats: Sequence[str], table_formats: Sequence[str]
) -> str:
    """Writes the report of results with one number per order.

    Raises:
        ValueError: no order is published, or there is no other.
    """
    others = len(scores.orders) - len(scores.published)
    if not scores.published:
        raise ValueError(
            f"'{scores.name}' does not say which order is the published one; mark it in a column "
            f"'published' (true or false), or with --published '{scores.orders[0]}'."
        )
    if not others:
        raise ValueError(
            f"All orders of '{scores.name}' are published ones, so there is none to hold them "
            f"against."
        )
    study = StudyStatistics(NO_MATRICES, given=scores)
    filled = [Filled(panel, panel.frame(study)) for panel in (PublishedOrder(), MethodsByOrder())]
    tables = {"scores": scores.means} | {panel.table: frame for panel, frame in filled}
    tables["answers"] = as_table([published_sentences.answer(tables["published_orders"])])
    drawn = _images(filled, study, figure_formats)
    folder = _with_parts(home, tables, table_formats, drawn, study)
    _write(folder, "report.md", markdown_of_scores(study).encode())
    _write(folder, "report.html", page(study, filled, tables).encode())
    return posixpath.join(home, "report.html")


class Studies(NamedTuple):
    """Holds what a report is about."""

    results: Results | OrderScores
    home: str
    """Where the report goes unless told."""
    configs: dict[str, dict[str, Any]]
    """What study.yaml says, by the name of the study, where several are compared."""
    published: tuple[str, ...] = ()
    """Orders that files mark as published."""
    apart: tuple[str, ...] = ()
    """What the studies do not have in common, so that their runs are not paired."""


def studies_in(
    results: str | Results | OrderScores,
    others: Sequence[str],
    score: str | None = None,
    order: Sequence[str] | None = None,
) -> Studies:
    """Returns the results of one study, or of several put together.

    Raises:
        FileNotFoundError, ValueError: see `write_report`.
    """
    if not isinstance(results, str | Path):
        if others:
            raise ValueError(
                "Results themselves cannot be compared with run folders; put them together with "
                "`combine` first."
            )
        return Studies(results, IN_MEMORY, {})
    first = posixpath.expanduser(str(results))
    if not others:
        found = read_results(first, score=score, order=order)
        return Studies(found.results, found.home, {}, found.published)
    paths = [first, *map(str, others)]
    read = [read_results(path, score=score, order=order) for path in paths]
    studies = {}
    for name, path, (content, *_) in zip(distinct_names(paths), paths, read, strict=True):
        if isinstance(content, OrderScores):
            raise ValueError(
                f"'{path}' holds one number per order; to compare methods by such numbers put "
                f"them into one file, with a column 'method'."
            )
        studies[name] = of_study(content, name)
    joined = "+".join(name.replace("/", "-") for name in studies)
    home = posixpath.join(posixpath.dirname(first.rstrip("/")), joined)
    configs = {name: config for name, found in studies.items() if (config := found.config)}
    published = dict.fromkeys(label for found in read for label in found.published)
    studies, apart = told_apart(studies)
    combined = combine(studies)
    combined = replace(combined, notes=(*apart, *combined.notes))
    return Studies(combined, home, configs, tuple(published), apart)


def tables_of(study: StudyStatistics, filled: Sequence[Filled]) -> dict[str, pd.DataFrame]:
    """Returns what is written beside the report, by file name.

    Raises:
        ValueError: two different tables have the same name.
    """
    tables = dict(study.tables)
    for panel, frame in filled:
        if panel.table and not tables.setdefault(panel.table, frame).equals(frame):
            raise ValueError(
                f"There is a table '{panel.table}' already; name that of the panel "
                f"'{panel.key}' otherwise."
            )
    return {name: _with_knowledge(table, study) for name, table in tables.items()}


def _with_knowledge(table: pd.DataFrame, study: StudyStatistics) -> pd.DataFrame:
    """Returns a table that says of every method whether it is told the task of test data."""
    known: Mapping[str, Any] = study.results.knows_task
    if "method" not in table or "knows_task" in table or not {True, False} & {*known.values()}:
        return table
    return table.assign(knows_task=table["method"].map(known.get).astype("boolean"))


def made_folder(out: str) -> fs.FileSystem:
    """Returns a folder, made if need be."""
    open_folder(posixpath.dirname(out.rstrip("/"))).create_dir(
        posixpath.basename(out.rstrip("/")), recursive=True
    )
    return open_folder(out)


def _with_parts(
    home: str,
    tables: Mapping[str, pd.DataFrame],
    table_formats: Sequence[str],
    drawn: Sequence[tuple[str, bytes]],
    study: StudyStatistics,
) -> fs.FileSystem:
    """Returns the folder of a report, with its tables and figures written."""
    folder = made_folder(home)
    folder.create_dir("tables", recursive=True)
    for name, table in tables.items():
        _write(folder, f"tables/{name}.parquet", _parquet(table))
    for name, text in texts(tables, table_formats, study):
        _write(folder, f"tables/{name}", text.encode())
    if drawn:
        folder.create_dir("figures", recursive=True)
    for name, content in drawn:
        _write(folder, f"figures/{name}", content)
    return folder


def _images(
    filled: Sequence[Filled], study: StudyStatistics, formats: Sequence[str]
) -> list[tuple[str, bytes]]:
    """Returns the figures of the page as files; what the page offers a choice of, as it opens.

    Raises:
        ValueError: there is no browser to draw with.
    """
    shown = [part for part in filled if part.is_shown] if formats else []
    drawn = {part.panel.key: alone(part.panel, part.frame, study) for part in shown}
    return list(images({key: figure for key, figure in drawn.items() if figure}, formats))


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer)
    return buffer.getvalue()


def _write(folder: fs.FileSystem, path: str, content: bytes) -> None:
    with folder.open_output_stream(path) as stream:
        stream.write(content)
