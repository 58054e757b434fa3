"""Reads image-caption pairs from a folder: by a table of captions, or by sub-folders as classes."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.errors import InputError, unknown
from sweep.tasks.image_files import (
    LeftOut,
    entries,
    has_images,
    image_files,
    is_hidden,
    text_of,
)
from sweep.texts import printable

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Files with a row per image; its column `file_name` is relative to the table."""
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""What folders of splits may be called, as `datasets` has it."""
SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


@dataclass(frozen=True)
class CaptionedFiles:
    """Images of a folder, in order, with what is said about each."""

    files: Sequence[str]
    columns: Mapping[str, Sequence[Any]]
    """Columns of the table; or `label`, the names of classes."""
    rows: Sequence[str]
    """Where each image's values stand, for messages."""
    has_classes: bool
    tables: Sequence[str]
    """The tables that were read."""
    left_out: LeftOut


def read_folder(folder: str, split: str) -> CaptionedFiles:
    """Returns the image files of one split of a folder.

    Raises:
        InputError: the folder has no such split, no captions or no images, or a table is wrong.
    """
    splits = _split_folders(folder)
    if splits and split not in splits:
        raise unknown(f"split of '{folder}'", split, splits)
    if not splits and split != "train":
        raise unknown(f"split of '{folder}', which has no folders of splits", split, ["train"])
    root = Path(splits.get(split, folder))
    above = [Path(folder, name) for name in TABLES if splits and Path(folder, name).is_file()]
    tables = above or _tables(root)
    if tables:
        return _by_table(tables, root)
    return _by_class(root)


def class_names(folder: str) -> tuple[str, ...]:
    """Returns the names of the classes of all splits of a folder, sorted."""
    roots = _split_folders(folder).values() or [folder]
    return tuple(sorted({name for root in roots for name, _ in _classes(root, LeftOut())}))


def _split_folders(folder: str) -> dict[str, str]:
    """Returns the folders of the splits, if there are such."""
    inside = [entry for entry in entries(folder, LeftOut()) if entry.is_dir()]
    names = {text_of(entry): entry.path for entry in inside}
    return {split: names[name] for split, name in _splits(list(names)).items()}


def _splits(names: Sequence[str]) -> dict[str, str]:
    """Returns the folders of the splits, if all folders are such; a class may be called "train"."""
    known = {SPLIT_OF[name.lower()]: name for name in names if name.lower() in SPLIT_OF}
    if len(known) > 1 and len(known) < len(names):
        odd = next(name for name in names if name.lower() not in SPLIT_OF)
        raise InputError(
            f"the folders {', '.join(sorted(known.values()))} are splits or classes, but '{odd}' "
            "beside them is no split; move it, or rename them."
        )
    return known if len(known) == len(names) else {}


def _tables(root: Path) -> list[Path]:
    found = sorted(file for name in TABLES for file in root.rglob(name))
    return [file for file in found if not any(map(is_hidden, file.relative_to(root).parts))]


def _by_table(tables: Sequence[Path], root: Path) -> CaptionedFiles:
    left_out = LeftOut()
    files, rows, values = list[str](), list[str](), list[Mapping[str, Any]]()
    for table in tables:
        for place, row in _rows(table):
            name = row.get("file_name")
            if not isinstance(name, str) or not name:
                raise InputError(f"{place}: the column 'file_name' must name an image.")
            file = table.parent / name
            if table.parent != root and root.parent == table.parent and root not in file.parents:
                continue  # a table of all splits
            if not file.is_file():
                raise InputError(f"{place}: there is no file '{printable(str(file))}'.")
            files.append(str(file))
            rows.append(place)
            values.append({key: value for key, value in row.items() if key != "file_name"})
    if not files:
        raise InputError(f"'{tables[0]}' has no rows.")
    columns = list(dict.fromkeys(key for row in values for key in row))
    for other in sorted(set(image_files(str(root), left_out, TABLES)) - set(files)):
        left_out.add(f"they are not in {tables[0].name}", other)
    by_column = {key: [row.get(key) for row in values] for key in columns}
    return CaptionedFiles(files, by_column, rows, False, [*map(str, tables)], left_out)


def _by_class(root: Path) -> CaptionedFiles:
    left_out = LeftOut()
    files, labels = list[str](), list[str]()
    for name, folder in _classes(str(root), left_out):
        found = image_files(folder, left_out)
        files += found
        labels += [name] * len(found)
    if not files:
        raise InputError(
            f"'{root}' holds no images with captions: it needs {TABLES[0]} with the columns "
            "file_name and one of captions, or a folder per class."
        )
    return CaptionedFiles(files, {"label": labels}, files, True, (), left_out)


def _classes(folder: str, left_out: LeftOut, above: str = "") -> Iterator[tuple[str, str]]:
    """Yields names and folders of classes: the uppermost ones that have images right inside.

    So apse/indoor/1.jpg is of the class "apse/indoor", and cat/1.jpg and cat/more/2.jpg of "cat".
    """
    for entry in entries(folder, left_out):
        if not entry.is_dir():
            left_out.add("they are in no class's folder", entry.path)
            continue
        name = above + text_of(entry)
        inside = entries(entry.path, LeftOut())
        if any(one.is_dir() for one in inside) and not has_images(inside):
            yield from _classes(entry.path, left_out, f"{name}/")
        else:
            yield name, entry.path


def _rows(table: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields where a row stands, and its values."""
    for line, row in read_table(table):
        yield f"'{table}', line {line}", row


def read_table(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields the lines of a table that rows stand in, and the rows.

    Numbers in a text file are text.

    Raises:
        InputError: it cannot be read.
    """
    read = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}[table.suffix]
    try:
        yield from read(table)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise InputError(f"'{table}' cannot be read: {reason}.") from None


def _csv_rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream, strict=True)
        header = next(reader, [])
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise InputError(f"'{table}' has two columns '{twice[0]}'.")
        for row in reader:
            if row and len(row) != len(header):
                raise InputError(
                    f"'{table}', line {reader.line_num} has {len(row)} values for "
                    f"{len(header)} columns; texts with commas need quotation marks."
                )
            if row:
                yield reader.line_num, dict(zip(header, row, strict=True))


def _json_rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with table.open(encoding="utf-8-sig") as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            row = json.loads(text, parse_int=str, parse_float=str)
            if not isinstance(row, dict):
                raise InputError(f"'{table}', line {line}: must be an object, got {text.strip()}.")
            yield line, row


def _parquet_rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield from enumerate(pq.read_table(table).to_pylist(), start=1)
