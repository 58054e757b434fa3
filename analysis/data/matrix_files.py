"""Results of other tools, from their files."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TextIO

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis.data.accuracy_matrices import MatrixRun, results_of
from analysis.data.formats import avalanche, facil, long_table, mammoth, matrix_table, mtil_results
from analysis.data.formats.base import GivenFile, Reader, Wanted
from analysis.data.formats.cells import decoded
from analysis.data.formats.pycil import read_pycil
from analysis.data.results import Results

FORMATS: dict[str, Reader] = {
    "matrix": matrix_table.read_matrix,
    "long": long_table.read_long,
    "arrays": matrix_table.read_arrays,
    "avalanche": avalanche.read_avalanche,
    "mammoth": mammoth.read_mammoth,
    "pycil": read_pycil,
    "pilot": read_pycil,
    "facil": facil.read_facil,
    "zscl": mtil_results.read_zscl,
    "continuum": mtil_results.read_continuum,
}
"""The reader of every format."""
UNREADABLE = {
    ".pt": "numpy.save", ".pth": "numpy.save", ".pkl": "numpy.save", ".pickle": "numpy.save",
    ".mat": "numpy.save", ".xlsx": "Save as CSV", ".xls": "Save as CSV", ".ods": "Save as CSV",
}  # fmt: skip
"""What to do with files that could run code or need a program, by suffix."""

Source = str | Path | TextIO
"""A file, or an open text file."""


def read_matrices(
    path: Source | Sequence[Source],
    format: str = "auto",
    *,
    order: Sequence[object] | None = None,
    method: str | None = None,
    backbone: str | None = None,
    unit: str = "auto",
    layout: str = "auto",
    first_stage: int | None = None,
) -> Results:
    r"""Returns the results in files of other tools.

    Formats ("auto" tells them apart; the files in `analysis/data/formats` say which versions):

    - "matrix": a table (CSV, text, Parquet, JSON) with a row per stage and a column per task;
    - "long": a table with columns order (tasks separated by ">"), stage, eval_task, value, and
      possibly method, replicate or seed, backbone, trained_task;
    - "arrays": .npy or .npz, arrays [stages, tasks] or [runs, stages, tasks];
    - "avalanche": eval_results.csv, a text log, or metrics as JSON;
    - "mammoth": logs.pyd or logs.csv; "pycil" or "pilot": a log;
    - "facil": results/acc_taw-*.txt or acc_tag-*.txt;
    - "zscl": results/*.npy of MTIL; "continuum": JSON lines with acc_per_task (Continual-CLIP).

    Text may be in UTF-8, UTF-16 or Excel's own code, with tabs, semicolons, commas or blanks
    between, decimal points or commas, and % signs. Zeros that tools put where nothing was measured
    are read as not measured. `Results.notes` says whatever was decided.

    Args:
        path: a file, an open text file, or several files: more runs of the same methods.
        format: one of FORMATS, or "auto".
        order: names of the tasks in learning order. Needed for files that number them; in a table
            with names, it says in which order they were learnt.
        method: what to call the method, where the file does not say or says otherwise.
        backbone: the same for the backbone.
        unit: "fraction", "percent", or "auto": what the values of a method look like
            (`given_units.in_fractions`). Results hold fractions.
        layout: "stages_by_tasks" (rows are stages, which "auto" takes for granted unless names say
            otherwise) or "tasks_by_stages".
        first_stage: the number of the stage after the first task, in a long table: 1, or 0 if
            stages are counted from 0; by default what the stages there are say.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is in none of these formats, or contradicts itself.

    >>> import io
    >>> results = read_matrices(io.StringIO("cars;pets\n90 %;20 %\n70,5 %;80 %"))
    >>> results.matrix("unnamed", "unnamed", 0, ("cars", "pets"))
                         cars  pets
    stage trained_task
    0                     NaN   NaN
    1     cars          0.900   0.2
    2     pets          0.705   0.8
    >>> results.notes
    ('Accuracies were given in percent and are held as fractions.',)
    """
    if format != "auto" and format not in FORMATS:
        raise ValueError(f"Unknown format '{format}'; allowed: auto, {', '.join(FORMATS)}.")
    names = None if order is None else tuple(str(task).strip() for task in order)
    wanted = Wanted(names, method, backbone, layout, first_stage)
    runs: list[MatrixRun] = []
    notes: list[str] = []
    for file in _files(path):
        given = given_file(file)
        chosen = _format_of(given, wanted) if format == "auto" else format
        _check_options(given, chosen, wanted)
        reading = FORMATS[chosen](given, wanted)
        runs += reading.runs
        notes += reading.notes
    for run in runs:
        if len(set(run.order)) < len(run.order):
            raise ValueError(f"The order {'>'.join(run.order)} names a task twice.")
        if np.isnan(run.R).all():
            raise ValueError(f"There are no accuracies in the run {run.name}.")
    if unit != "auto":
        runs = [replace(run, unit=unit) for run in runs]
    return results_of(runs, notes)


def _check_options(given: GivenFile, format: str, wanted: Wanted) -> None:
    """Refuse a format that a file cannot have, and options that its format has no use for."""
    if bool(given.arrays) != (format in ("arrays", "zscl")):
        held = "numpy arrays" if given.arrays else "no numpy arrays"
        raise ValueError(f"'{given.name}' holds {held}, so its format cannot be '{format}'.")
    if wanted.layout != "auto" and format not in ("matrix", "arrays"):
        raise ValueError(f"layout is for matrices, but '{given.name}' is read as '{format}'.")
    if wanted.first_stage is not None and format != "long":
        raise ValueError(f"first_stage is for long tables; '{given.name}' is read as '{format}'.")


def _files(path: Source | Sequence[Source]) -> Sequence[Source]:
    """Returns one or several files as several."""
    if isinstance(path, str | Path) or not isinstance(path, Sequence):
        return [path]
    return path


def given_file(file: Source) -> GivenFile:
    """Returns the content of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, empty, or of a kind that is not read.
    """
    if not isinstance(file, str | Path):
        return _of_text(str(getattr(file, "name", "text")), file.read())
    path, name = Path(file).expanduser(), str(file)
    if path.is_dir():
        raise ValueError(f"'{name}' is a folder; give a file, or load a run folder with load().")
    if not path.exists():
        raise FileNotFoundError(f"There is no file '{name}'.")
    if not path.stat().st_size:
        raise ValueError(f"'{name}' is empty.")
    suffix = path.suffix.lower()
    if suffix in UNREADABLE:
        raise ValueError(
            f"'{name}' is not read, because {suffix} files need the program that wrote them; write "
            f"the accuracies as text or as an array ({UNREADABLE[suffix]}) and give that."
        )
    if suffix in (".npy", ".npz"):
        return GivenFile(name, arrays=_arrays(path))
    if suffix == ".parquet":
        return GivenFile(name, table=_table(pq.read_table(path).to_pandas()))
    return _of_text(name, decoded(path.read_bytes()))


def _of_text(name: str, text: str) -> GivenFile:
    """Returns a text file; JSON that is a table becomes one."""
    if not text.strip():
        raise ValueError(f"'{name}' is empty.")
    if text.lstrip()[0] in "[{" and not (_MAMMOTH in text or _CONTINUUM in text):
        try:
            content = json.loads(text)
        except json.JSONDecodeError:
            return GivenFile(name, text)
        if isinstance(content, list) and not any(isinstance(row, dict) for row in content):
            content = [row if isinstance(row, list) else [] for row in content]
            return GivenFile(name, text, [[_cell(value) for value in row] for row in content])
        if avalanche.KEY.search(text) is None:
            try:
                return GivenFile(name, text, _table(pd.DataFrame(content)))
            except ValueError:
                raise ValueError(f"'{name}' is JSON, but no table of accuracies.") from None
    return GivenFile(name, text)


_MAMMOTH, _CONTINUUM = "accmean_task", '"acc_per_task"'


def _arrays(path: Path) -> list[np.ndarray]:
    """Returns the arrays in a .npy or .npz file, as numbers."""
    try:
        loaded = np.load(path, allow_pickle=False)
        found = list(loaded.values()) if isinstance(loaded, np.lib.npyio.NpzFile) else [loaded]
        return [array.astype(float) for array in found]
    except (ValueError, OSError, EOFError):
        raise ValueError(
            f"'{path}' holds no arrays of numbers; save accuracies with numpy.save as floats."
        ) from None


def _table(frame: pd.DataFrame) -> list[list[str]]:
    """Returns the header and the cells of a frame."""
    index = frame.index.to_series()
    if frame.index.name is not None or not pd.api.types.is_integer_dtype(index):
        frame = frame.reset_index()
    head = [str(column).strip() for column in frame.columns]
    rows = (map(_cell, row) for row in frame.itertuples(index=False, name=None))
    return [head, *(list(row) for row in rows)]


def _cell(value: object) -> str:
    """Returns a value as the text of a cell."""
    if isinstance(value, list | tuple | np.ndarray):
        return ">".join(str(item).strip() for item in value)
    return "" if value is None else str(value).strip()


def _format_of(given: GivenFile, wanted: Wanted) -> str:
    """Returns the format that a file seems to have."""
    if given.arrays:
        return "zscl" if mtil_results.is_mtil(given.arrays) else "arrays"
    name = PurePath(given.name).name
    if facil.NAME.match(name) or facil.NO_ACCURACIES.match(name):
        return "facil"
    start = given.text[:100_000] if given.table is None else ""
    head = [] if given.table is None and not start else given.cells[0] if given.cells else []
    if avalanche.KEY.search(given.text) or {"eval_exp", "training_exp"} & set(head):
        return "avalanche"
    if mammoth.ACCURACY.search(start) or _MAMMOTH in start:
        return "mammoth"
    if _CONTINUUM in start:
        return "continuum"
    if re.search(r"\{'total'|(CNN|NME) top1 curve|Accuracy Matrix \((CNN|NME)\)", given.text):
        return "pycil"
    return "long" if long_table.is_long(head, wanted) else "matrix"
