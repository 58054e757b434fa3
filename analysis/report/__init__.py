"""The report of a study: one page that needs nothing else, and the tables behind it."""

import io
import posixpath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from analysis.data.accuracy_matrices import combine
from analysis.data.results import load, open_folder
from analysis.report.card import card
from analysis.report.markdown import markdown
from analysis.report.page import page
from analysis.report.study import Study


def write_report(out: str, *others: str) -> str:
    """Write OUT/report.html, report.md, CARD.md (for the Hub) and tables/*.parquet.

    Works while the study is still running: runs that are not complete are listed and left out.
    The same results give the same bytes.

    Args:
        out: a run folder, as a local path or a URI.
        others: more of them, to be compared with the first; the report of all of them goes to
            a folder beside the first one that is called after all, "a+b+c".

    Returns:
        The path or URI of report.html.

    Raises:
        FileNotFoundError: a folder holds no results.
        ValueError: two folders have the same name.
    """
    results = load(out)
    if others:
        studies = {_name(path): load(path) for path in (out, *others)}
        if len(studies) <= len(others):
            raise ValueError(f"Folders of the same name cannot be compared: {', '.join(studies)}.")
        results = combine(studies)
        out = posixpath.join(posixpath.dirname(out.rstrip("/")), "+".join(studies))
        open_folder(posixpath.dirname(out)).create_dir(posixpath.basename(out))
    study, folder = Study(results), open_folder(str(out))
    folder.create_dir("tables", recursive=True)
    for name, table in study.tables.items():
        _write(folder, f"tables/{name}.parquet", _parquet(table))
    _write(folder, "report.md", markdown(study).encode())
    if results.folder is not None:
        _write(folder, "CARD.md", card(study).encode())
    _write(folder, "report.html", page(study).encode())
    return posixpath.join(str(out), "report.html")


def _name(out: str) -> str:
    """What a run folder is called."""
    return posixpath.basename(str(out).rstrip("/"))


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer)
    return buffer.getvalue()


def _write(folder: fs.FileSystem, path: str, content: bytes) -> None:
    with folder.open_output_stream(path) as stream:
        stream.write(content)
