"""Remembers what was in files, so that a second command need not read every byte again.

A file counts as unchanged if its path, size, inode and both times (of its content and of its inode)
are what they were. The second time cannot be set back without changing the machine's clock. A few
files are read again each time all the same; if one of them is not what it was, all are read.
"""

import hashlib
import os
import random
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from sweep.cache import CACHE, open_cache
from sweep.errors import InputError
from sweep.pulse import PULSE
from sweep.texts import printable

MEMORY = CACHE / "file-digests.sqlite"
"""Where digests of files are remembered, and what is known about contents."""
SETTLED_SECONDS = 2.0
"""A file that changed less than so long before it was read is not remembered: clocks of file
systems are coarse, so it could change once more and keep its times."""
SAMPLE_FILES, SAMPLE_BYTES = 32, 64 << 20
"""Most files and bytes that are read again each time."""
_AT_ONCE = 4096
"""Files that are read before their digests are saved."""
_SMALL = 1 << 20
"""Bytes of a file that is read in one piece."""
_LOCK_SECONDS = 30.0
"""How long to wait for another process that is saving."""
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    folder BLOB, name BLOB, stamp TEXT, digest BLOB, PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (
    fact TEXT, digest BLOB, PRIMARY KEY (fact, digest)
) WITHOUT ROWID;
"""

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Read:
    """What a file was when it was read."""

    file: str
    stamp: str
    digest: bytes
    is_settled: bool
    """Whether its stamp will be another one if it changes."""


def digests(files: Sequence[str]) -> dict[str, bytes]:
    """Returns every file with the SHA-256 of its content, remembered where it has not changed.

    Raises:
        InputError: a file cannot be read.
    """
    stamps = dict(zip(files, _in_threads(_stamp, files), strict=True))
    found = _remembered(stamps)
    if not _sample_holds(found, stamps):
        found = {}
    missing = [file for file in stamps if file not in found]
    for start in range(0, len(missing), _AT_ONCE):
        read = _in_threads(_read, missing[start : start + _AT_ONCE])
        found |= {one.file: one.digest for one in read}
        _remember(read)
    return found


def known(fact: str, contents: Collection[bytes]) -> set[bytes]:
    """Returns those of the digests of which a fact has been noted."""
    asked, found = list(contents), set[bytes]()

    def look(memory: sqlite3.Connection) -> None:
        for start in range(0, len(asked), 500):
            some = asked[start : start + 500]
            places = ",".join("?" * len(some))
            rows = memory.execute(
                f"SELECT digest FROM known WHERE fact = ? AND digest IN ({places})", (fact, *some)
            )
            found.update(digest for (digest,) in rows)

    _with_memory(look)
    return found


def note(fact: str, contents: Iterable[bytes]) -> None:
    """Notes a fact about contents: it holds for equal contents, wherever they are."""
    rows = [(fact, digest) for digest in contents]
    if rows:
        _with_memory(
            lambda memory: memory.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", rows),
            writes=True,
        )


def _in_threads(function: Callable[[str], _T], files: Sequence[str]) -> list[_T]:
    """Returns what a function gives for every file; many at a time, because disks are slow."""
    parts = [files[start : start + 64] for start in range(0, len(files), 64)]
    with ThreadPoolExecutor() as threads:
        done = threads.map(lambda part: [function(file) for file in part], parts)
        return [one for part in done for one in part]


def _stamp_of(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _stamp(file: str) -> str:
    try:
        return _stamp_of(os.stat(file))
    except OSError as error:
        raise _unreadable(file, error) from None


def _read(file: str) -> _Read:
    PULSE.beat()
    started = time.time()
    try:
        with open(file, "rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size <= _SMALL:
                digest = hashlib.sha256(stream.read()).digest()
            else:
                digest = hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise _unreadable(file, error) from None
    # A change while it is read gives it a later time than the one that is remembered.
    is_settled = status.st_ctime < started - SETTLED_SECONDS
    return _Read(file, _stamp_of(status), digest, is_settled)


def _unreadable(file: str, error: OSError) -> InputError:
    return InputError(f"'{printable(file)}' cannot be read: {error.strerror or error}.")


def _place(file: str) -> tuple[bytes, bytes]:
    """Returns a file's folder and name; names need not be valid Unicode."""
    folder, name = os.path.split(os.path.abspath(os.fsencode(file)))
    return folder, name


def _remembered(stamps: dict[str, str]) -> dict[str, bytes]:
    """Returns the digests of the files that still have the stamp they were remembered with."""
    places = {_place(file): file for file in stamps}
    found: dict[str, bytes] = {}

    def look(memory: sqlite3.Connection) -> None:
        for folder in dict.fromkeys(folder for folder, _ in places):
            rows = memory.execute(
                "SELECT name, stamp, digest FROM files WHERE folder = ?", (folder,)
            )
            for name, stamp, digest in rows:
                file = places.get((folder, name))
                if file is not None and stamps[file] == stamp:
                    found[file] = digest

    _with_memory(look)
    return found


def _sample_holds(remembered: dict[str, bytes], stamps: dict[str, str]) -> bool:
    """Reads a few files again and returns whether all of them are what they were."""
    chosen, room = [], SAMPLE_BYTES
    for file in random.sample(list(remembered), min(SAMPLE_FILES, len(remembered))):
        size = int(stamps[file].split()[0])
        if size <= room:
            chosen.append(file)
            room -= size
    return all(one.digest == remembered[one.file] for one in _in_threads(_read, chosen))


def _remember(found: Iterable[_Read]) -> None:
    rows = [(*_place(one.file), one.stamp, one.digest) for one in found if one.is_settled]
    if rows:
        _with_memory(
            lambda memory: memory.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows
            ),
            writes=True,
        )


def _with_memory(action: Callable[[sqlite3.Connection], object], writes: bool = False) -> None:
    """Does something with the memory; where that cannot be, nothing is remembered, and no more."""
    try:
        if writes:
            open_cache(MEMORY.parent)
        elif not MEMORY.exists():
            return
        with closing(sqlite3.connect(MEMORY, timeout=_LOCK_SECONDS)) as memory, memory:
            if writes:
                memory.executescript(_TABLES)
            action(memory)
    except (sqlite3.OperationalError, OSError, InputError):
        return  # it is read-only, locked for too long, empty, or its folder is another user's
    except sqlite3.DatabaseError:  # it is broken; the next one starts anew
        MEMORY.unlink(missing_ok=True)
