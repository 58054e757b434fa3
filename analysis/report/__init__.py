"""The report of a study: one page that needs nothing else, and the tables behind it.

In: run folders. Out: report.html, report.md, CARD.md and tables/*.parquet beside them.
"""

import io
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from analysis.data.accuracy_matrices import combine
from analysis.data.locations import open_folder
from analysis.data.results import Results, load
from analysis.report.dataset_card import card
from analysis.report.markdown import markdown
from analysis.report.page import Filled, page
from analysis.report.panels import with_own
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.run_metrics.metric import Metric

IN_MEMORY = "report"
"""The folder of the report of results that come from no folder."""


def write_report(
    results: str | Results,
    *others: str,
    out: str | None = None,
    panels: Iterable[Panel] = (),
    metrics: Iterable[Metric] = (),
) -> str:
    """Writes OUT/report.html, report.md, CARD.md (for the Hub) and tables/*.parquet.

    Works while the study is still running: runs that are not complete are listed and left out.
    The same results give the same bytes.

    Args:
        results: a run folder, as a local path or a URI; or results themselves.
        others: more run folders, to be compared with the first.
        out: where the report goes. By default into the run folder; for several into a folder
            beside the first one that is called after all, "a+b+c"; for results themselves into
            "report", below the working directory.
        panels: of your own, which stand on the page where they ask to.
        metrics: of your own, which stand in the table of all metrics.

    Returns:
        The path or URI of report.html.

    Raises:
        FileNotFoundError: a folder holds no results.
        ValueError: two folders have the same name, or two panels, tables or metrics; or results
            themselves were to be compared with folders.

    >>> write_report('nowhere')
    Traceback (most recent call last):
    ...
    FileNotFoundError: 'nowhere' holds no results: no rows in results/*.parquet.
    """
    found, home, configs = studies_in(results, others)
    home = home if out is None else posixpath.expanduser(str(out))
    study = StudyStatistics(found, tuple(metrics), configs)
    filled = [Filled(panel, panel.frame(study)) for panel in with_own(panels)]
    tables = tables_of(study, filled)
    folder = made_folder(home)
    folder.create_dir("tables", recursive=True)
    for name, table in tables.items():
        _write(folder, f"tables/{name}.parquet", _parquet(table))
    _write(folder, "report.md", markdown(study).encode())
    if found.folder is not None:
        _write(folder, "CARD.md", card(study, tables).encode())
    _write(folder, "report.html", page(study, filled, tables).encode())
    return posixpath.join(home, "report.html")


def studies_in(
    results: str | Results, others: Sequence[str]
) -> tuple[Results, str, dict[str, dict[str, Any]]]:
    """Returns results, where their report goes, and what the study.yaml of several ones says."""
    if isinstance(results, Results):
        if others:
            raise ValueError(
                "Results themselves cannot be compared with run folders; put them together with "
                "`combine` first."
            )
        return results, IN_MEMORY, {}
    first = posixpath.expanduser(str(results))
    if not others:
        return load(first), first, {}
    studies = {_name(path): load(path) for path in (first, *others)}
    if len(studies) <= len(others):
        raise ValueError(f"Folders of the same name cannot be compared: {', '.join(studies)}.")
    named = {
        name: replace(found, stages=found.stages.assign(study=name))
        for name, found in studies.items()
    }
    home = posixpath.join(posixpath.dirname(first.rstrip("/")), "+".join(studies))
    configs = {name: config for name, found in studies.items() if (config := found.config)}
    return combine(named), home, configs


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
    return tables


def made_folder(out: str) -> fs.FileSystem:
    """Returns a folder, made if need be."""
    open_folder(posixpath.dirname(out.rstrip("/"))).create_dir(
        posixpath.basename(out.rstrip("/")), recursive=True
    )
    return open_folder(out)


def _name(out: str) -> str:
    """Returns what a run folder is called."""
    return posixpath.basename(str(out).rstrip("/"))


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer)
    return buffer.getvalue()


def _write(folder: fs.FileSystem, path: str, content: bytes) -> None:
    with folder.open_output_stream(path) as stream:
        stream.write(content)
