"""The report of a study: one page that needs nothing else, and the tables behind it.

In: run folders. Out: report.html, report.md, CARD.md and tables/*.parquet beside them.
"""

import io
import posixpath
from collections.abc import Iterable, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from analysis.data.accuracy_matrices import combine
from analysis.data.results import load, open_folder
from analysis.report.dataset_card import card
from analysis.report.markdown import markdown
from analysis.report.page import Filled, page
from analysis.report.panels import with_own
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.run_metrics.metric import Metric


def write_report(
    out: str, *others: str, panels: Iterable[Panel] = (), metrics: Iterable[Metric] = ()
) -> str:
    """Writes OUT/report.html, report.md, CARD.md (for the Hub) and tables/*.parquet.

    Works while the study is still running: runs that are not complete are listed and left out.
    The same results give the same bytes.

    Args:
        out: a run folder, as a local path or a URI.
        others: more of them, to be compared with the first; the report of all of them goes to
            a folder beside the first one that is called after all, "a+b+c".
        panels: of your own, which stand on the page where they ask to.
        metrics: of your own, which stand in the table of all metrics.

    Returns:
        The path or URI of report.html.

    Raises:
        FileNotFoundError: a folder holds no results.
        ValueError: two folders have the same name, or two panels, tables or metrics.

    >>> write_report('nowhere')
    Traceback (most recent call last):
    ...
    FileNotFoundError: 'nowhere' holds no results: no rows in results/*.parquet.
    """
    out = posixpath.expanduser(out)
    results = load(out)
    if others:
        studies = {_name(path): load(path) for path in (out, *others)}
        if len(studies) <= len(others):
            raise ValueError(f"Folders of the same name cannot be compared: {', '.join(studies)}.")
        results = combine(studies)
        out = posixpath.join(posixpath.dirname(out.rstrip("/")), "+".join(studies))
        open_folder(posixpath.dirname(out)).create_dir(posixpath.basename(out))
    study, folder = StudyStatistics(results, tuple(metrics)), open_folder(str(out))
    filled = [Filled(panel, panel.frame(study)) for panel in with_own(panels)]
    tables = tables_of(study, filled)
    folder.create_dir("tables", recursive=True)
    for name, table in tables.items():
        _write(folder, f"tables/{name}.parquet", _parquet(table))
    _write(folder, "report.md", markdown(study).encode())
    if results.folder is not None:
        _write(folder, "CARD.md", card(study, tables).encode())
    _write(folder, "report.html", page(study, filled).encode())
    return posixpath.join(str(out), "report.html")


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
