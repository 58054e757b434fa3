"""Reads and writes files in a folder on any filesystem."""

import hashlib
import io
import json
import os
import posixpath
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from analysis.data.locations import locate
from sweep.errors import InputError

_CHUNK = 2**24
"""Bytes that are sent to an object store at once."""


class DamagedError(Exception):
    """Says which file of a folder is not what was written into it."""


class Folder:
    """A folder on a local disk, NFS, or an object store that pyarrow can reach."""

    def __init__(self, uri: str) -> None:
        """Finds the filesystem; does not look at the folder.

        Args:
            uri: A path, in which ~ is the home folder, or a URI, in which a space is a space.

        Raises:
            InputError: no filesystem has such a URI.
        """
        try:
            self.filesystem, self.path, self.uri = locate(uri)
        except (ValueError, OSError, NotImplementedError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(f"folder '{uri}' cannot be opened: {reason}.") from None

    def join(self, *parts: str) -> str:
        """Returns the path of something inside the folder, as the filesystem knows it."""
        return posixpath.join(self.path, *parts)

    def exists(self, *parts: str) -> bool:
        """Returns whether there is such a file or folder."""
        return bool(self.filesystem.get_file_info(self.join(*parts)).type != fs.FileType.NotFound)

    def obstacle(self) -> str:
        """Returns why nothing can be written here: "'runs' is a file"; "" if something can."""
        if not isinstance(self.filesystem, fs.LocalFileSystem):
            return ""
        place = Path(self.path)
        try:
            while not place.exists():
                place = place.parent
        except OSError as error:  # such as a name that is too long
            return str(error.strerror)
        if not place.is_dir():
            return f"'{place}' is a file"
        return "" if os.access(place, os.W_OK | os.X_OK) else f"'{place}' may not be written to"

    def list(self, *parts: str, recursive: bool = False) -> list[fs.FileInfo]:
        """Returns everything in a sub-folder; nothing if it does not exist."""
        selector = fs.FileSelector(self.join(*parts), allow_not_found=True, recursive=recursive)
        return list(self.filesystem.get_file_info(selector))

    def read(self, *parts: str) -> bytes:
        """Returns the content of a file."""
        with self.filesystem.open_input_stream(self.join(*parts)) as stream:
            return bytes(stream.read())

    def read_json(self, *parts: str) -> Any:
        """Returns what a JSON file holds.

        Raises:
            DamagedError: it is empty, cut off, or no JSON.
        """
        content = self.read(*parts)
        try:
            return json.loads(content)
        except ValueError:
            raise DamagedError(f"'{self.join(*parts)}' is no JSON") from None

    def local(self, *parts: str) -> Path | None:
        """Returns the path of a file on a disk of this machine; None: it is elsewhere."""
        is_local = isinstance(self.filesystem, fs.LocalFileSystem)
        return Path(self.join(*parts)) if is_local else None

    def write(self, content: bytes, *parts: str) -> None:
        """Writes a file so that readers see all of it or none, even if the machine fails.

        Object stores publish a file when it is closed; on disks it is renamed when complete.
        """
        path = self.join(*parts)
        self.filesystem.create_dir(posixpath.dirname(path), recursive=True)
        if isinstance(self.filesystem, fs.LocalFileSystem):
            with _appearing_durably(Path(path)) as unfinished:
                unfinished.write_bytes(content)
            return
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(content)

    @contextmanager
    def new_file(self, *parts: str) -> Iterator[Path]:
        """Gives the name of a file on this machine to write, which then is what `write` writes.

        For contents that are too large to be in memory a second time.
        """
        path = self.join(*parts)
        self.filesystem.create_dir(posixpath.dirname(path), recursive=True)
        if isinstance(self.filesystem, fs.LocalFileSystem):
            with _as_errors_of_the_system(), _appearing_durably(Path(path)) as unfinished:
                yield unfinished
            return
        with TemporaryDirectory() as folder:
            written = Path(folder) / "content"
            with _as_errors_of_the_system():
                yield written
            with self.filesystem.open_output_stream(path) as stream, written.open("rb") as content:
                shutil.copyfileobj(content, stream, _CHUNK)

    def write_table(self, table: pa.Table, *parts: str) -> str:
        """Writes a Parquet file, with a checksum of every page; returns its SHA-256."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, write_page_checksum=True)
        self.write(buffer.getvalue(), *parts)
        return hashlib.sha256(buffer.getvalue()).hexdigest()

    def read_table(
        self, *parts: str, schema: pa.Schema | None = None, sha256: str = ""
    ) -> pa.Table:
        """Returns what a Parquet file holds.

        Args:
            parts: Its place.
            schema: The columns to read; None: all that there are.
            sha256: What `write_table` returned, if that is known.

        Raises:
            DamagedError: it is empty, cut off, or not what was written.
        """
        content = self.read(*parts)  # a disk or server that does not answer is no damage
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise DamagedError(f"'{self.join(*parts)}' is not what was written")
        try:
            # Read by this thread alone: one of Arrow's that lets go of Python's memory last aborts
            # a process that is ending (github.com/apache/arrow/issues/34314).
            file = pq.ParquetFile(
                io.BytesIO(content), pre_buffer=False, page_checksum_verification=True
            )
            table = file.read(schema.names if schema else None, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise DamagedError(f"'{self.join(*parts)}' cannot be read: {reason}") from None
        if schema and not table.schema.equals(schema):
            raise DamagedError(f"'{self.join(*parts)}' has other columns than it should")
        return table

    def delete(self, *parts: str) -> None:
        """Deletes a file if it is there."""
        if self.exists(*parts):
            self.filesystem.delete_file(self.join(*parts))


@contextmanager
def _as_errors_of_the_system() -> Iterator[None]:
    """Raises as OSError what safetensors, which is no Python, says of a disk in a text alone."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if not found:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number)) from error


UNFINISHED = ".tmp"
"""How the name of a file ends that is being written on a disk."""


@contextmanager
def _appearing_durably(path: Path) -> Iterator[Path]:
    """Gives the name of a file beside `path` to write; waits for the disk, and renames it."""
    target = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{UNFINISHED}")
    target.touch(exist_ok=False)
    usual = target.stat().st_mode
    try:
        yield target
        target.chmod(usual)  # safetensors writes files that only their owner may read
        with target.open("rb") as written:
            os.fsync(written.fileno())
        target.replace(path)
    except BaseException:  # what is left of it would keep a full disk full
        target.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not every file system has folders to wait for
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
