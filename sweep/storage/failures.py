"""Keeps what went wrong: OUT/errors has the traceback of every distinct error, in a file each."""

import hashlib
import platform
import sys
import sysconfig
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sweep.orders.order import Order
from sweep.plan.scheduler import starts_from
from sweep.plan.units import Unit, UnitGraph
from sweep.storage.folder import DamagedError, Folder

ERRORS = "errors"
"""Folder of the tracebacks in a run folder."""
FAILED = ("results", "failed.parquet")
"""The file of a run folder with the rows of stages that failed."""
OURS = "sweep.errors."
"""Where errors of this package are; no reader has to know."""
LONGEST = 4000
"""Characters of a message that tables and terminals repeat; its file has all of it."""
AT = "at: "
"""Begins the line of an error's file that says where it was raised."""


@dataclass(frozen=True)
class Failure:
    """A distinct error, with what reproduces it."""

    error: str
    """Type and message."""
    stages: int
    """Stages that it cost, those included that start from one that it ended."""
    frame: str
    """Where it was raised: "my_methods/mine.py:7 in loss"; "" if it is not known."""
    file: str
    """Path or URI of the traceback; "" if there is none."""
    backbone: str
    method: str
    order: Order
    """The tasks up to the first stage that raised it."""
    replicate: int


def described(error: BaseException) -> str:
    """Returns the type and the message of an error, all lines of it.

    >>> described(ValueError("it cannot be"))
    'ValueError: it cannot be'
    """
    text = "".join(traceback.format_exception_only(error)).strip().removeprefix(OURS)
    text = text.encode(errors="backslashreplace").decode()  # names of files may be any bytes
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text)} characters)"


def last_frame(error: BaseException) -> str:
    """Returns where an error was raised, as far as that is not inside of a library."""
    return own_frame(traceback.extract_tb(error.__traceback__))


def own_frame(frames: traceback.StackSummary) -> str:
    """Returns the innermost place that is not inside of a library; "" of no frames."""
    if not frames:
        return ""
    libraries = [sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")]
    own = [frame for frame in frames if not frame.filename.startswith((*libraries, "<"))]
    # Where this package is installed, its own code is among the libraries.
    ours = [frame for frame in frames if _package(frame.filename) in ("sweep", "methods")]
    frame = (own or ours or frames)[-1]
    return f"{_short(frame.filename)}:{frame.lineno} in {frame.name}"


def _package(file: str) -> str:
    return _short(file).partition("/")[0]


def _short(file: str) -> str:
    """Returns a file's path as Python finds it, from the folder that holds its package."""
    roots = [root for root in sys.path if root and Path(file).is_relative_to(root)]
    return str(Path(file).relative_to(max(roots, key=len))) if roots else file


def keep(folder: Folder, error: BaseException, unit: Unit | None = None) -> str:
    """Writes an error's traceback into a run folder unless it is there; returns its description."""
    text = described(error)
    doing = f"{unit.title} (backbone {unit.backbone}, replicate {unit.replicate})" if unit else "-"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [f"stage: {doing}", f"host: {platform.node()}, {now}", f"{AT}{last_frame(error)}", ""]
    content = "\n".join([*lines, *traceback.format_exception(error)])
    with suppress(OSError):  # the error itself matters more than a disk that is full
        if not folder.exists(*_file(text)):
            folder.write(content.encode(errors="backslashreplace"), *_file(text))
    return text


def _file(error: str) -> tuple[str, str]:
    return ERRORS, f"{hashlib.sha256(error.encode()).hexdigest()[:12]}.txt"


def read_failed(graph: UnitGraph, folder: Folder) -> dict[str, str]:
    """Returns the errors of a run's stages by their keys, as its results have them.

    They have those of stages that have been computed since, too, until they are written anew.
    """
    try:
        rows = folder.read_table(*FAILED).to_pylist()
    except (FileNotFoundError, DamagedError):
        return {}
    keys = {
        (run.backbone, run.method, run.replicate, prefix): key
        for run in graph.runs
        for key, prefix in zip(run.stages, run.prefixes, strict=True)
    }
    found = {}
    for row in rows:
        place = (row["backbone"], row["method"], row["replicate"], tuple(row["prefix"]))
        if place in keys:
            found[keys[place]] = row["error"] or ""
    return found


def failures(graph: UnitGraph, failed: Mapping[str, str], folder: Folder) -> tuple[Failure, ...]:
    """Returns the distinct errors of a run, the one that cost most stages first.

    Args:
        graph: The units of the study.
        failed: Errors by the keys of the units that failed.
        folder: The run's folder, which holds the tracebacks.
    """
    units = graph.units
    causes = {starts_from(units[key].title, error): error for key, error in failed.items()}
    stages = Counter(causes.get(error, error) for error in failed.values())
    first = {error: units[key] for key, error in reversed(list(failed.items()))}
    return tuple(
        _failure(graph, first[error], error, count, folder) for error, count in stages.most_common()
    )


def _failure(graph: UnitGraph, unit: Unit, error: str, stages: int, folder: Folder) -> Failure:
    # A start unit belongs to all methods: any run begins with it.
    run = next(run for run in graph.runs if unit.method in ("", run.method))
    method, order = (unit.method, unit.prefix) if unit.method else (run.method, run.order[:1])
    frame = file = ""
    with suppress(OSError):
        if folder.exists(*_file(error)):
            lines = folder.read(*_file(error)).decode().splitlines()
            frame = next((line for line in lines if line.startswith(AT)), "").removeprefix(AT)
            file = "/".join([folder.uri.partition("?")[0].rstrip("/"), *_file(error)])
    return Failure(error, stages, frame, file, unit.backbone, method, order, unit.replicate)
