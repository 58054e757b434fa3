"""Reads rows that `datasets` has laid out on the disk, without loading them into memory."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from methods.data import Images
from sweep.errors import InputError
from sweep.tasks.image_files import Files, check_there, open_content, open_picture
from sweep.tasks.sources.table_rows import Table


class ArrowTable(Table):
    """Rows of a `datasets.Dataset`, which lie in files that are mapped into memory."""

    def __init__(self, data: Any, what: str, split: str, images: str, files: Sequence[str]) -> None:
        """Looks at the columns, and reads no rows.

        Args:
            data: A `datasets.Dataset`.
            what: What it is for, and which it is.
            split: What it is called, for messages.
            images: Folder that paths of images are relative to.
            files: What it was read from.
        """
        super().__init__(what)
        self._rows: pa.Table = data.with_format("arrow")[:]
        self._features = data.features
        self._split, self._images, self._files = split, images, list(files)
        self.columns = tuple(_names(self._rows.schema))

    def __len__(self) -> int:
        """Returns the number of rows."""
        return int(self._rows.num_rows)

    def values(self, column: str) -> Sequence[Any]:
        """Returns what a column holds, without reading the others."""
        array = self._array(column)
        if _is_picture(_single(array.type)) or _is_binary(_single(array.type)):
            raise InputError(f"{self.what}: column '{column}' holds images, and nothing to read.")
        found: list[Any] = array.to_pylist()
        return found

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """Returns the names of labels, which the features of the data set have."""
        import datasets

        self.check_column(column)
        feature: Any = self._features
        for name in self._path(column):
            feature = _one_of(feature)[name]
        feature = _one_of(feature)
        return tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None

    def pictures(self, column: str, rows: np.ndarray) -> Images:
        """Returns the pictures in some rows, of which no bytes are read before."""
        array = self._array(column)
        kind = _single(array.type)
        if not (_is_text(kind) or _is_binary(kind) or _is_picture(kind)):
            raise self.no_images(column)
        self._check_one_each(array, column, rows)
        if _is_text(kind):
            return Files(self._check_named(array, column, rows))
        if _lacks_some(array):
            self._check_named(array, column, rows)
        return _Pictures(self, array, rows)

    def place(self, row: int) -> str:
        """Returns where a row stands, for messages."""
        return f"{self.what}, split '{self._split}', row {row + 1}"

    def files(self, column: str) -> list[str]:
        """Returns the files of the data set, and those of pictures outside of it."""
        array = self._array(column)
        if not (_is_text(_single(array.type)) or _lacks_some(array)):
            return self._files
        named = [self._path_in(_cell(array, row)) for row in range(len(self))]
        paths = [self.file(name) for name in dict.fromkeys(named) if name]
        return [*self._files, *filter(os.path.isfile, paths)]

    def file(self, name: str) -> str:
        """Returns the path of an image that a row names."""
        return os.path.join(self._images, name)

    def _path_in(self, cell: Any) -> str | None:
        """Returns the path in a cell, if its image is a file of its own; "" without an image."""
        if cell.is_valid and _is_picture(cell.type) and not cell["bytes"].is_valid:
            cell = cell["path"]
        if not cell.is_valid:
            return ""
        return str(cell.as_py()) if _is_text(cell.type) else None

    def _check_named(self, array: pa.ChunkedArray, column: str, rows: np.ndarray) -> list[str]:
        """Returns the paths of images that are files of their own, all of which are there."""
        owners, files = [], []
        for row in rows.tolist():
            name = self._path_in(_cell(array, row))
            if name == "":
                raise InputError(f"{self.place(row)}: there is no image in '{column}'.")
            if name is not None:
                owners.append(row)
                files.append(self.file(name))
        check_there(files, lambda number: self.place(owners[number]))
        return files

    def _array(self, column: str) -> pa.ChunkedArray:
        self.check_column(column)
        first, *others = self._path(column)
        array = self._rows.column(first)
        for name in others:
            chunks = [_entry(chunk, name) for chunk in array.chunks]
            array = pa.chunked_array(chunks) if chunks else pa.chunked_array([], pa.null())
        return array

    def _path(self, column: str) -> list[str]:
        """Returns the names of structures in one another; names may have dots in them."""
        kind: Any = pa.struct(list(self._rows.schema))
        found, rest = [], column
        while rest:
            names = [field.name for field in _single(kind)]
            name = next(n for n in names if rest == n or rest.startswith(f"{n}."))
            found.append(name)
            kind, rest = _single(kind).field(name).type, rest[len(name) + 1 :]
        return found

    def _check_one_each(self, array: pa.ChunkedArray, column: str, rows: np.ndarray) -> None:
        if not _is_list(array.type):
            return
        counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
        for row in rows[counts[rows] != 1][:1].tolist():
            raise InputError(
                f"{self.place(row)}: {counts[row]} images in '{column}'; a sample shows one."
            )


class _Pictures(Sequence[Image.Image]):
    """Pictures whose bytes are in a table."""

    def __init__(self, table: ArrowTable, array: pa.ChunkedArray, rows: np.ndarray) -> None:
        self._table, self._array, self._rows = table, array, rows

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        row = int(self._rows[index])
        cell = _cell(self._array, row)
        if _is_picture(cell.type):
            if not cell["bytes"].is_valid:
                return open_picture(self._table.file(cell["path"].as_py()))
            cell = cell["bytes"]
        return open_content(cell.as_py(), self._table.place(row))


def _cell(array: pa.ChunkedArray, row: int) -> Any:
    """Returns what stands in a row; of a list the first."""
    cell = array[row]
    while _is_list(cell.type) and cell.is_valid:
        cell = cell[0]
    return cell


def _lacks_some(array: pa.ChunkedArray) -> bool:
    """Returns whether there may be rows without the bytes of a picture; reads no bytes."""
    for chunk in array.chunks:
        while _is_list(chunk.type):
            chunk = chunk.values
        if chunk.null_count or (
            _is_picture(chunk.type) and pc.struct_field(chunk, "bytes").null_count
        ):
            return True
    return False


def _entry(array: pa.Array, name: str) -> pa.Array:
    """Returns an entry of structures, or of lists of structures."""
    if not _is_list(array.type):
        return pc.struct_field(array, name)
    if array.null_count:  # pyarrow takes nulls only where offsets start at 0
        array = array.take(np.arange(len(array)))
    nulls = array.is_null() if array.null_count else None
    return type(array).from_arrays(array.offsets, _entry(array.values, name), mask=nulls)


def _names(fields: Iterable[pa.Field], above: str = "") -> Iterator[str]:
    """Yields the names of columns and of entries of structures."""
    for field in fields:
        yield above + field.name
        kind = _single(field.type)
        if pa.types.is_struct(kind) and not _is_picture(kind):
            yield from _names(kind, f"{above}{field.name}.")


def _one_of(feature: Any) -> Any:
    """Returns the feature of the elements of lists."""
    import datasets

    while isinstance(feature, datasets.List | datasets.LargeList):
        feature = feature.feature
    return feature


def _single(kind: Any) -> Any:
    """Returns the type of the elements of lists."""
    while _is_list(kind):
        kind = kind.value_type
    return kind


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_picture(kind: Any) -> bool:
    """Returns whether it is what `datasets` stores an image as."""
    return bool(
        pa.types.is_struct(kind)
        and {field.name for field in kind} == {"bytes", "path"}
        and _is_binary(kind.field("bytes").type)
    )
