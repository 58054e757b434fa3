"""Holds rows that name images in files of their own."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from methods.data import Images
from sweep.errors import InputError
from sweep.tasks.image_files import Files, check_there
from sweep.tasks.sources.table_rows import Table


@dataclass(frozen=True)
class Listing:
    """What a file, or a folder, of rows holds."""

    columns: Mapping[str, Sequence[Any]]
    """What every row says, by column; images by their paths."""
    place: Callable[[int], str]
    """Where a row stands, for messages."""
    files: Sequence[str]
    """The files that were read for this."""
    images: str = ""
    """Folder that paths of images are relative to."""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the numbers in columns of labels."""
    image_column: str | None = None
    """The only column with images; None: any may name some."""
    left_out: tuple[str, ...] = ()
    """Sentences about what was not read."""


class ListedTable(Table):
    """Rows in memory, with images in files."""

    def __init__(self, listing: Listing, what: str) -> None:
        """Takes the rows; `what` is what they are for, and which data set they are of."""
        super().__init__(what)
        self._listing = listing
        self.columns = tuple(listing.columns)
        self.left_out = listing.left_out

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(next(iter(self._listing.columns.values()), ()))

    def values(self, column: str) -> Sequence[Any]:
        """Returns what a column holds; of images their paths."""
        self.check_column(column)
        return self._listing.columns[column]

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """Returns the names of the numbers in a column of labels."""
        self.check_column(column)
        return self._listing.class_names.get(column)

    def pictures(self, column: str, rows: np.ndarray) -> Images:
        """Returns the pictures that rows name, after making sure that they are there."""
        values = self.values(column)
        if self._listing.image_column not in (None, column):
            raise self.no_images(column)
        files = []
        for row in rows.tolist():
            names = _several(values[row])
            if len(names) > 1:
                raise InputError(
                    f"{self.place(row)}: {len(names)} images in '{column}'; a sample shows one."
                )
            if not names or not names[0]:
                raise InputError(
                    f"{self.place(row)} names no image in '{column}'{self._others(column, rows)}."
                )
            if not isinstance(names[0], str):
                raise self.no_images(column)
            files.append(self._path(names[0]))
        check_there(files, lambda number: self.place(int(rows[number])))
        return Files(files)

    def place(self, row: int) -> str:
        """Returns where a row stands, for messages."""
        return f"{self.what}: {self._listing.place(row)}"

    def files(self, column: str) -> list[str]:
        """Returns the files that the rows, and the pictures in a column, are in."""
        names = [name for value in self.values(column) for name in _several(value)]
        paths = [self._path(name) for name in names if isinstance(name, str)]
        return [*self._listing.files, *filter(os.path.isfile, dict.fromkeys(paths))]

    def _path(self, name: str) -> str:
        return os.path.join(self._listing.images, name)

    def _others(self, column: str, rows: np.ndarray) -> str:
        """Returns how many rows lack an image, and what to do about them."""
        values = self.values(column)
        others = sum(not _several(values[row]) for row in rows.tolist()) - 1
        more = f", nor do {others:,} others" if others > 1 else ", nor does 1 other" * others
        hint = ", where: {has_image: 1} leaves them out" if "has_image" in self.columns else ""
        return f"{more}; a sample shows one{hint}"


def _several(value: Any) -> list[Any]:
    """Returns the images of a row."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
