"""Files that are made once per machine and then read by all processes of a user."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweep.errors import InputError, NoRoomError
from sweep.texts import size

PLACE = "TASK_ORDER_SWEEP_CACHE"
"""Environment variable that says where the cache is; by default in the user's own cache folder."""
LIMIT = "TASK_ORDER_SWEEP_CACHE_GB"
"""Environment variable that says how large it may grow, in units of 10^9 bytes."""
LIMIT_GB = 100.0
"""Its default."""
LAST_USED = 24 * 3600.0
"""Seconds since they were last used for which large files are kept, whatever room they take: the
study that runs may need them."""
_LARGE = f"{'?' * 64}.npy"
"""Names of large files: prepared images and features. The others are small."""


def _place() -> Path:
    if given := os.environ.get(PLACE):
        return Path(given).expanduser()
    with suppress(RuntimeError):  # a user without a home
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        existing = next(place for place in (caches, *caches.parents) if place.exists())
        if caches.is_absolute() and os.access(existing, os.W_OK | os.X_OK):
            return caches / "task-order-sweep"
    return Path(tempfile.gettempdir()) / f"task-order-sweep-{getattr(os, 'getuid', int)()}"


CACHE = _place()
"""Prepared images, features of images, similarity matrices, digests of files."""


def open_cache(folder: Path) -> None:
    """Makes a folder of the cache unless it is there.

    Raises:
        InputError: it cannot be made, or is another user's, who could put anything there.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        if is_full(error):
            raise no_room(folder) from None
        raise InputError(
            f"the cache folder '{folder}' cannot be used ({error.strerror}); set {PLACE} to a "
            f"folder of your own."
        ) from None
    user = getattr(os, "getuid", int)()
    if user and owner != user:
        raise InputError(
            f"the cache folder '{folder}' belongs to another user; set {PLACE} to a folder of your "
            f"own."
        )


def make_room(folder: Path, needed: int) -> int:
    """Removes files from the cache that were not used for long, the oldest first.

    It does so as far as the cache would grow beyond its limit, or the disk has no room.

    Args:
        folder: The folder of the cache.
        needed: Bytes of a file to be written.

    Returns:
        The bytes that are free now.

    Raises:
        InputError: the limit is no number.
    """
    given = os.environ.get(LIMIT, str(LIMIT_GB))
    try:
        limit = float(given) * 1e9
    except ValueError:
        raise InputError(f"{LIMIT} has to be a number, got '{given}'.") from None
    found = []
    for file in folder.glob(_LARGE):
        with suppress(FileNotFoundError):  # another process has removed it
            found.append((file.stat().st_mtime, file.stat().st_size, file))
    held = sum(taken for _, taken, _ in found)
    for used, taken, file in sorted(found):
        is_enough = held + needed <= limit and needed <= shutil.disk_usage(folder).free
        if is_enough or time.time() - used < LAST_USED:
            break
        file.unlink(missing_ok=True)  # who has mapped it goes on with it
        held -= taken
    return shutil.disk_usage(folder).free


def mark_used(file: Path) -> None:
    """Lets a file count as used just now."""
    with suppress(OSError):  # another process may have removed it
        os.utime(file)


def is_full(error: BaseException) -> bool:
    """Returns whether an error says that a disk, or a user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_room(folder: Path, what: str = "") -> NoRoomError:
    """Returns the error for a cache that is full.

    Args:
        folder: Of the cache.
        what: What was to be written, as in "5 prepared images take 15.4 KB, and ".
    """
    with suppress(OSError):
        what = f"{what}in '{folder}' there are {size(shutil.disk_usage(folder).free)} left"
    return NoRoomError(
        f"{what or f'{folder} is full'}; make room there, or set {PLACE} to a folder with more."
    )


@contextmanager
def appearing_complete(file: Path) -> Iterator[Path]:
    """Yields the path to write to; `file` appears once that is written, so it is never half there.

    Processes that start at the same time may each write; the last one wins.

    Raises:
        InputError: the folder cannot be used, or is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "cache" / "numbers.txt"
    ...     with appearing_complete(file) as unfinished:
    ...         _ = unfinished.write_text("1 2 3")
    ...         print(file.exists())
    ...     print(file.read_text())
    False
    1 2 3
    """
    open_cache(file.parent)
    try:
        # Beside it, because a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            unfinished = Path(folder) / file.name
            yield unfinished
            os.replace(unfinished, file)
    except OSError as error:
        if is_full(error):
            raise no_room(file.parent) from None
        raise
