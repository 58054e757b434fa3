"""Finds folders, on any filesystem; imports little, because every command does it."""

import json
import posixpath
import re
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml
from pyarrow import fs


class Located(NamedTuple):
    """A folder as pyarrow knows it."""

    filesystem: fs.FileSystem
    path: str
    uri: str
    """The absolute path, or the URI with what it may not hold as %XX."""


def locate(out: str) -> Located:
    """Returns where a folder is, which need not exist.

    Args:
        out: A path, in which ~ is the home folder, or a URI, in which a space is a space.

    Raises:
        OSError, ValueError, NotImplementedError: no filesystem has such a URI.

    >>> locate("file:///tmp/a b").uri
    'file:///tmp/a%20b'
    """
    if "://" not in out and not out.startswith("file:/"):
        path = posixpath.abspath(posixpath.expanduser(out))
        return Located(fs.LocalFileSystem(), path, path)
    # What is written as %XX already stays so.
    uri = quote(re.sub("%(?![0-9a-fA-F]{2})", "%25", out), safe=":/?&=%+@,;!$'()*~")
    filesystem, path = fs.FileSystem.from_uri(uri)
    return Located(filesystem, path, uri)


def open_folder(out: str) -> fs.FileSystem:
    """Returns a filesystem whose root is the folder `out` (a local path or a URI)."""
    found = locate(out)
    return fs.SubTreeFileSystem(found.path, found.filesystem)


def read_mapping(folder: fs.FileSystem | None, path: str) -> dict[str, Any]:
    """Returns what a YAML or JSON file holds; {} where there is no such file."""
    if folder is None or folder.get_file_info(path).type != fs.FileType.File:
        return {}
    with folder.open_input_stream(path) as stream:
        read = json.loads if path.endswith(".json") else yaml.safe_load
        content: dict[str, Any] = read(stream.read())
    return content
