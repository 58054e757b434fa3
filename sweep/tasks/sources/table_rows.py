"""Defines what a data set looks like to those who make tasks of it: a table with pictures."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from PIL import Image

from methods.data import Images
from sweep.errors import InputError, unknown


class Table(ABC):
    """Rows of one split of a data set; pictures are decoded when they are asked for."""

    columns: tuple[str, ...]
    """Names of its columns; "a.b" is the entry b of the structures, or lists of such, in a."""

    left_out: tuple[str, ...] = ()
    """Sentences about what was not read, and why."""

    def __init__(self, what: str) -> None:
        """Remembers what it is for, and which it is; errors name it: "task 'a': 'me/data'"."""
        self.what = what

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of rows."""

    @abstractmethod
    def values(self, column: str) -> Sequence[Any]:
        """Returns what a column holds; of labels with names their numbers.

        Raises:
            InputError: there is no such column, or it holds images.
        """

    @abstractmethod
    def class_names(self, column: str) -> tuple[str, ...] | None:
        """Returns the names of the numbers in a column of labels, or of lists of them.

        None: the column holds no such labels.

        Raises:
            InputError: there is no such column.
        """

    @abstractmethod
    def pictures(self, column: str, rows: np.ndarray) -> Images:
        """Returns the pictures in some rows (int64 [N]), upright, each in a mode of its own.

        Raises:
            InputError: there is no such column, or not one picture in each of these rows.
        """

    @abstractmethod
    def place(self, row: int) -> str:
        """Returns where a row stands, for messages."""

    @abstractmethod
    def files(self, column: str) -> list[str]:
        """Returns the files that the rows, and the pictures in a column, are in.

        Raises:
            InputError: there is no such column.
        """

    def check_column(self, column: str) -> None:
        """Makes sure that there is such a column.

        Raises:
            InputError: there is none; it names the nearest.
        """
        if column not in self.columns:
            raise unknown(f"column of {self.what}", column, self.columns)

    def no_images(self, column: str) -> InputError:
        """Returns the error for a column of something else."""
        return InputError(f"{self.what}: column '{column}' holds no images.")


class Joined(Table):
    """Rows of several splits, one after the other."""

    def __init__(self, tables: Sequence[Table]) -> None:
        super().__init__(tables[0].what)
        self._tables = tables
        self._starts = np.cumsum([0, *map(len, tables)])
        self.columns = tuple(
            name for name in tables[0].columns if all(name in one.columns for one in tables)
        )
        self.left_out = tuple(dict.fromkeys(chain(*(table.left_out for table in tables))))

    def __len__(self) -> int:
        """Returns the number of rows of all splits."""
        return int(self._starts[-1])

    def values(self, column: str) -> Sequence[Any]:
        """Returns what a column holds."""
        self.check_column(column)
        return list(chain.from_iterable(table.values(column) for table in self._tables))

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """Returns the names of labels, which all splits must number alike."""
        self.check_column(column)
        found = [table.class_names(column) for table in self._tables]
        if any(names != found[0] for names in found):
            raise InputError(
                f"{self.what}: the splits to join number the labels of '{column}' differently."
            )
        return found[0]

    def pictures(self, column: str, rows: np.ndarray) -> Images:
        """Returns the pictures in some rows."""
        self.check_column(column)
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        parts = [
            table.pictures(column, rows[owners == number] - self._starts[number])
            for number, table in enumerate(self._tables)
        ]
        places = np.zeros(len(rows), np.int64)
        for number in range(len(self._tables)):
            places[owners == number] = np.arange((owners == number).sum())
        return _Gathered(parts, owners, places)

    def place(self, row: int) -> str:
        """Returns where a row stands, for messages."""
        owner = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._tables[owner].place(row - int(self._starts[owner]))

    def files(self, column: str) -> list[str]:
        """Returns the files of all splits."""
        return [file for table in self._tables for file in table.files(column)]


class _Gathered(Sequence[Image.Image]):
    """Pictures out of several sequences."""

    def __init__(self, parts: Sequence[Images], owners: np.ndarray, places: np.ndarray) -> None:
        self._parts, self._owners, self._places = parts, owners, places

    def __len__(self) -> int:
        return len(self._owners)

    def __getitem__(self, index: Any) -> Any:
        return self._parts[self._owners[index]][int(self._places[index])]
