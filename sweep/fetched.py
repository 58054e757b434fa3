"""Brings folders to this machine that a study names by a URI, such as s3://bucket/pets."""

import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock
from pyarrow import fs

from analysis.data.locations import locate
from sweep.cache import CACHE, is_full, no_room, open_cache
from sweep.errors import InputError
from sweep.texts import size


def is_uri(path: str) -> bool:
    """Returns whether a study names a folder that is elsewhere.

    >>> is_uri("gs://bucket/pets"), is_uri("data/pets")
    (True, False)
    """
    return "://" in path


def here(path: str) -> str:
    """Returns where a folder is on this machine: the path itself, or that of a copy.

    A URI is copied into the cache once per machine, and again when files there have changed.

    Args:
        path: A path; or a URI of anything that pyarrow can reach.

    Raises:
        InputError: a URI names no folder with files, cannot be reached, or there is no room for it.

    >>> here("data/pets")
    'data/pets'
    """
    return _copy(path) if is_uri(path) else path


def root_here(root: str | None) -> Path | None:
    """Returns where a folder is on this machine that a study may leave out."""
    return Path(here(root)) if root else None


@cache
def _copy(uri: str) -> str:
    try:
        found = locate(uri)
        infos = found.filesystem.get_file_info(fs.FileSelector(found.path, recursive=True))
    except (OSError, ValueError, NotImplementedError) as error:
        raise _unreachable(uri, error) from None
    files = sorted(
        (info.path, info.size, info.mtime_ns) for info in infos if info.type == fs.FileType.File
    )
    if not files:
        raise InputError(f"'{uri}' holds no files.")
    key = hashlib.sha256(repr((found.uri, files)).encode()).hexdigest()
    folder = CACHE / "fetched" / key
    open_cache(folder.parent)
    with FileLock(f"{folder}.lock"):  # the processes of a machine start together
        if not folder.is_dir():
            _fetch(uri, found.filesystem, found.path, folder, sum(size for _, size, _ in files))
    return str(folder)


def _fetch(uri: str, there: fs.FileSystem, path: str, folder: Path, needed: int) -> None:
    """Copies a folder; it appears once all of it is there."""
    what = f"a copy of '{uri}' takes {size(needed)}, and "
    if shutil.disk_usage(folder.parent).free < needed:
        raise no_room(folder.parent, what)
    try:
        # Beside it, because a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            copy = Path(unfinished, "copy")
            copy.mkdir()
            fs.copy_files(path, str(copy), there, fs.LocalFileSystem())
            copy.replace(folder)
    except OSError as error:
        raise no_room(folder.parent, what) if is_full(error) else _unreachable(uri, error) from None


def _unreachable(uri: str, error: Exception) -> InputError:
    return InputError(f"'{uri}' cannot be reached: {str(error).splitlines()[0].rstrip('.')}.")
