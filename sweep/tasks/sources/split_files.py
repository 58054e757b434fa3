"""Reads files that say which images of a folder are in which split, as CoOp publishes them."""

import json
import os
from collections.abc import Mapping
from typing import Any

from sweep.errors import InputError, unknown
from sweep.tasks.sources.listed import Listing
from sweep.texts import printable


def lists_classes(file: str) -> bool:
    """Returns whether a file has the classes of images, and so needs no table beside it.

    Raises:
        InputError: it cannot be read.
    """
    splits = _read(file)
    first = next((rows[0] for rows in splits.values() if isinstance(rows, list) and rows), None)
    return isinstance(first, list)


def read_split_file(file: str, split: str, images: str) -> Listing:
    """Returns the rows of one split: the path of every image, and its label.

    The file holds {"train": [[path, label, name of the class], ...], "val": ..., "test": ...}.

    Args:
        file: Its path.
        split: Which split.
        images: Folder that the paths of images are relative to.

    Raises:
        InputError: it cannot be read, holds something else, or has no such split.
    """
    name = os.path.basename(file)
    splits = _read(file)
    _check(splits, f"'{printable(file)}'")
    if split not in splits:
        raise unknown(f"split of '{printable(file)}'", split, splits)
    names = _class_names(splits, f"'{name}'")
    rows = splits[split]
    return Listing(
        columns={
            "image": [path for path, _, _ in rows],
            "label": [label for _, label, _ in rows],
        },
        place=lambda row: f"'{name}', {split}, entry {row + 1}",
        files=[file],
        images=images,
        class_names={"label": names},
    )


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as stream:
            splits: Any = json.load(stream)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise InputError(f"'{printable(file)}' cannot be read: {reason}.") from None
    if not isinstance(splits, dict) or not all(isinstance(rows, list) for rows in splits.values()):
        raise InputError(f"'{printable(file)}' must hold lists of images by split.")
    return splits


def _check(splits: Mapping[str, list[Any]], file: str) -> None:
    for split, rows in splits.items():
        for number, row in enumerate(rows, start=1):
            kinds = [type(value) for value in row] if isinstance(row, list) else []
            if kinds != [str, int, str] or row[1] < 0:
                raise InputError(
                    f"{file}, {split}, entry {number}: must be the path of an image, the number "
                    f"and the name of its class, got {row!r:.60}."
                )


def _class_names(splits: Mapping[str, list[tuple[str, int, str]]], what: str) -> tuple[str, ...]:
    """Returns the names of all classes, by their numbers."""
    names: dict[int, str] = {}
    for rows in splits.values():
        for _, label, name in rows:
            if names.setdefault(label, name) != name:
                raise InputError(f"{what}: class {label} is called '{names[label]}' and '{name}'.")
    if missing := sorted(set(range(len(names))) - set(names)):
        raise InputError(f"{what}: there is no image of class {missing[0]}.")
    return tuple(names[label] for label in sorted(names))
