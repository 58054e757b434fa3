"""Reads and writes files in a folder on any filesystem."""

import io
import os
import posixpath
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from analysis.data.locations import locate
from sweep.errors import InputError


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

    def write(self, content: bytes, *parts: str) -> None:
        """Writes a file so that readers see all of it or none.

        Object stores publish a file when it is closed; on disks it is renamed when complete.
        """
        path = self.join(*parts)
        local = isinstance(self.filesystem, fs.LocalFileSystem)
        target = f"{path}.{uuid.uuid4().hex[:8]}.tmp" if local else path
        self.filesystem.create_dir(posixpath.dirname(path), recursive=True)
        with self.filesystem.open_output_stream(target) as stream:
            stream.write(content)
        if local:
            self.filesystem.move(target, path)

    def write_table(self, table: pa.Table, *parts: str) -> None:
        """Writes a Parquet file."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self.write(buffer.getvalue(), *parts)

    def delete(self, *parts: str) -> None:
        """Deletes a file if it is there."""
        if self.exists(*parts):
            self.filesystem.delete_file(self.join(*parts))
