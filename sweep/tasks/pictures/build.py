"""Makes the pictures that are shipped from the packages that they come from.

    python -m sweep.tasks.pictures.build ARCHIVES OUT

ARCHIVES is a folder with the packages, OUT the file to write. It takes about three minutes, and
needs the extra `pictures` of this package.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.errors import InputError
from sweep.tasks.pictures.allotment import Row, allot
from sweep.tasks.pictures.archives import check_archives
from sweep.tasks.pictures.collected import Picture, clip_art, clothing, digits, emoji, letters
from sweep.tasks.pictures.task_list import SUITES, TASKS
from sweep.tasks.pictures.thumbnails import digest_of, encoded

SCHEMA = pa.schema(
    {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "caption": pa.string(),
        "name": pa.string(),
        "group": pa.string(),
        "tasks": pa.list_(
            pa.struct({"task": pa.string(), "label": pa.string(), "split": pa.string()})
        ),
        "pool": pa.string(),
        "source": pa.string(),
        "file": pa.string(),
        "author": pa.string(),
        "licence": pa.string(),
        "sha256": pa.string(),
        "sha256_image": pa.string(),
    }
)


def collected(archives: Path) -> Iterator[Picture]:
    """Yields the pictures of all collections."""
    yield from clothing(archives, train=40, test=20)
    yield from digits(train=40, test=20)
    yield from emoji(archives)
    yield from clip_art(archives)
    yield from letters(archives, most=24)


def write(rows: Iterable[Row], out: Path) -> None:
    """Writes the table of all pictures, which is their manifest, too."""
    records = [_record(row) for row in rows]
    table = pa.Table.from_pylist(records, SCHEMA)
    pq.write_table(table, out, compression="zstd", compression_level=19)


def _record(row: Row) -> dict[str, Any]:
    picture = row.picture
    return {
        "image": {"bytes": encoded(picture.pixels), "path": None},
        "caption": caption(picture),
        "name": picture.name,
        "group": picture.group or None,
        "tasks": [
            {"task": task, "label": label, "split": split} for task, label, split in row.tasks
        ],
        "pool": row.pool,
        "source": picture.source,
        "file": picture.file,
        "author": picture.author or None,
        "licence": picture.licence,
        "sha256": picture.sha256,
        "sha256_image": digest_of(picture.pixels),
    }


def caption(picture: Picture) -> str:
    """Returns what is shown, and what kind of thing that is."""
    for task in (*TASKS.values(), *SUITES.values()):
        for label, groups in task.classes.items():
            if picture.group in groups and picture.source in task.sources:
                return _said(task.name, label, picture.caption)
    return picture.caption


def _said(task: str, label: str, shown: str) -> str:
    if task == "clothing":
        return f"photo of {with_article(label)}"
    if task == "digits":
        return f"handwritten {label}"
    if task in ("scripts", "people"):
        return shown
    if task == "cards":
        return f"{shown}, a playing card"
    if task == "faces":
        label = f"{label} face"
    return f"{shown}, {with_article(label)}" if label not in ("sky",) else shown


def with_article(noun: str) -> str:
    """Returns a noun with "a" or "an".

    >>> with_article("insect"), with_article("bird")
    ('an insect', 'a bird')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def main(archives: Path, out: Path) -> None:
    """Builds the table.

    Raises:
        InputError: an archive is missing, or is another one.
    """
    check_archives(archives)
    write(allot(collected(archives)), out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m sweep.tasks.pictures.build ARCHIVES OUT")
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except InputError as error:
        sys.exit(str(error))
