"""Finds folders, on any filesystem; imports little, because every command does it."""

import json
import os.path
import posixpath
import re
from collections.abc import Sequence
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


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Returns what to call folders and files: the ends of their paths, as long as need be.

    Raises:
        ValueError: one is there twice.

    >>> distinct_names(["runs/er", "runs/lwf/"]), distinct_names(["runs/a/x", "runs/b/x"])
    (['er', 'lwf'], ['a/x', 'b/x'])
    """
    whole = [locate(path).path for path in paths]
    for path, place in zip(paths, whole, strict=True):
        if whole.count(place) > 1:
            raise ValueError(f"'{path}' is given twice; a run cannot be compared with itself.")
    bare = [place.removesuffix(_suffix(place)) for place in whole]
    for parts in (bare, whole):  # x.csv and x.json keep what tells them apart
        split = [path.strip("/").split("/") for path in parts]
        for length in range(1, max(map(len, split)) + 1):
            names = ["/".join(path[-length:]) for path in split]
            if len(set(names)) == len(names):
                return names
    return whole


def _suffix(path: str) -> str:
    """Returns the suffix of a file; "" for a folder, whose name may hold dots."""
    return posixpath.splitext(path)[1] if os.path.isfile(path) else ""


def open_folder(out: str) -> fs.FileSystem:
    """Returns a filesystem whose root is the folder `out` (a local path or a URI)."""
    found = locate(out)
    return fs.SubTreeFileSystem(found.path, found.filesystem)


def read_mapping(folder: fs.FileSystem | None, path: str) -> dict[str, Any]:
    """Returns what a YAML or JSON file holds; {} where there is no such file."""
    if folder is None or folder.get_file_info(path).type != fs.FileType.File:
        return {}
    with folder.open_input_stream(path) as stream:
        # JSON is YAML, but a plan of many units takes seconds to read as such.
        read = json.loads if path.endswith(".json") else yaml.safe_load
        content: dict[str, Any] = read(stream.read())
    return content
