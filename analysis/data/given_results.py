"""Reads results of any kind: a run folder, or files of other tools, told apart by content."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from analysis.data.accuracy_matrices import UNNAMED
from analysis.data.formats import facil
from analysis.data.formats.base import GivenFile
from analysis.data.formats.order_table import is_order_table, published_paths, read_order_table
from analysis.data.matrix_files import UNREADABLE, given_file, read_matrices
from analysis.data.order_scores import OrderScores
from analysis.data.results import Results, load

TABLES = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".npy", ".npz", ".log", ".pyd"}
"""Suffixes of the files of a folder that are read."""
OF_RUNS = ("results", "study.yaml", "orders.parquet")
"""What a run folder holds."""


class Given(NamedTuple):
    """Holds results of either kind, and what is known of where they come from."""

    results: Results | OrderScores
    home: str
    """Where their report goes: into a run folder, else beside the file or folder."""
    published: tuple[str, ...] = ()
    """The orders that accuracy matrices mark as published."""


def read_results(
    path: str | Path, *, score: str | None = None, order: Sequence[str] | None = None
) -> Given:
    """Returns the results in a run folder, or in a file or a folder of files of another tool.

    Args:
        path: a run folder (or its URI); a file with accuracy matrices in any format of
            `read_matrices`, or with one number per order (`formats/order_table.py`); a folder of
            files with accuracy matrices, which are runs of the same methods.
        score: the column that holds the scores, in a table with one number per order.
        order: names of the tasks in learning order, for files that number them.

    Raises:
        FileNotFoundError: there are no results.
        ValueError: a file is in no format that is read, or contradicts itself.

    >>> read_results("nowhere")
    Traceback (most recent call last):
    ...
    FileNotFoundError: 'nowhere' holds no results: no rows in results/*.parquet.
    """
    found = _read(path, score, order)
    if isinstance(found.results, Results) and score is not None:
        raise ValueError(f"'{path}' has no column '{score}' to choose: it holds accuracy matrices.")
    return found


def _read(path: str | Path, score: str | None, order: Sequence[str] | None) -> Given:
    place = Path(path).expanduser()
    files = [place] if place.is_file() else _files(place)
    if not files:
        if order is not None:
            raise ValueError(
                f"'{path}' is a run folder and says its orders itself; leave out order."
            )
        return Given(load(path), str(path))
    home = str(place.with_name(f"{place.stem if place.is_file() else place.name}-report"))
    given = {file: given_file(file) for file in files}
    tables = [file for file, content in given.items() if is_order_table(_head(content))]
    if tables and len(files) > 1:
        raise ValueError(
            f"'{tables[0]}' holds one number per order, and such results are read from one file; "
            f"put all rows into it, with a column 'method' if there are several."
        )
    if tables and order is not None:
        raise ValueError(f"'{tables[0]}' says in its column 'order' which orders it holds.")
    if tables:
        return Given(read_order_table(given[tables[0]], score), home)
    results = read_matrices(files, order=order)
    marks = [label for content in given.values() for label in published_paths(content)]
    return Given(of_study(results, place.stem), home, tuple(dict.fromkeys(marks)))


def of_study(results: Results, name: str) -> Results:
    """Returns results under the name of a study, which a method without a name gets, too."""
    named = {UNNAMED: name}
    stages, orders = results.stages, results.orders
    stages = stages.assign(study=name, method=stages["method"].replace(named))
    if "method" in orders:
        orders = orders.assign(method=orders["method"].replace(named))
    return replace(results, stages=stages, orders=orders)


def _head(given: GivenFile) -> list[str]:
    """Returns the first row of a file that is a table or text."""
    return [] if given.arrays or not given.cells else given.cells[0]


def _files(folder: Path) -> list[Path]:
    """Returns the files of a folder that may hold accuracies; [] for a run folder."""
    if not folder.is_dir() or any((folder / name).exists() for name in OF_RUNS):
        return []
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in TABLES | set(UNREADABLE)
        and file.is_file()
        and not file.name.startswith(".")
        and not facil.NO_ACCURACIES.match(file.name)
    ]
