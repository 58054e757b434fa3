"""Opens the data set that a task's source names, and tells which one it is."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sweep import file_digests
from sweep.errors import InputError, unknown
from sweep.hub import check_revision
from sweep.tasks.sources.conversations import read_rows
from sweep.tasks.sources.image_folders import read_images
from sweep.tasks.sources.layout import ARROW, ROWS, Splits, matching, splits_of
from sweep.tasks.sources.listed import ListedTable
from sweep.tasks.sources.opening import is_saved, open_files, open_saved
from sweep.tasks.sources.places import Place
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.split_files import lists_classes, read_split_file
from sweep.tasks.sources.table_rows import Joined, Table

__all__ = ["Table", "identify", "open_table"]


def open_table(source: TaskSource, split: str, what: str) -> Table:
    """Returns the rows of a split, or of several: "train+validation".

    No picture is decoded, and the bytes of none are read.

    Args:
        source: Where the data are.
        split: Which of them.
        what: What they are for, such as "task 'aircraft'"; errors name it.

    Raises:
        InputError: they are not there, or cannot be read.
    """
    place = _place(source, what)
    tables = [_open(source, place, one.strip()) for one in split.split("+")]
    for table in tables:
        if not len(table):
            raise InputError(f"{table.what}: split '{split}' has no rows.")
    return Joined(tables) if len(tables) > 1 else tables[0]


def _place(source: TaskSource, what: str) -> Place:
    place = Place(source.path, source.revision, what)
    if place.is_folder:
        check_revision(f"{what}:", source.path, source.revision)
    return place


def identify(source: TaskSource, what: str) -> str:
    """Returns the commit of a data set on the hub, or a digest of the files that are read.

    The digest does not depend on where the folder lies.

    Raises:
        InputError: the data are not there, or cannot be read.
    """
    place = _place(source, what)
    if not place.is_folder:
        return place.commit
    parts: dict[str, str | None] = {"train": source.train, "test": source.test}
    reads = {
        (split, source.as_read(role).columns.image): None for role, split in parts.items() if split
    }
    files = [
        file for split, column in reads for file in open_table(source, split, what).files(column)
    ]
    by_name = {os.path.relpath(file, source.path): file for file in files}
    contents = file_digests.digests(list(by_name.values()))
    found = hashlib.sha256()
    for name, file in sorted(by_name.items()):
        found.update(os.fsencode(name) + b"\0")
        found.update(contents[file])
    return found.hexdigest()


def _open(source: TaskSource, place: Place, split: str) -> Table:
    images = source.images_of(split)
    if is_saved(place):
        return open_saved(place, split, place.images(images))
    with _named(place.what):
        if (file := _split_file(source, place)) and lists_classes(file):
            return ListedTable(read_split_file(file, split, place.images(images)), place.named)
    splits = _splits(source, place)
    if not splits:
        with _named(place.what):
            return ListedTable(read_images(place.get(place.names), split), place.named)
    if split not in splits:
        is_known = place.is_known or source.files is not None
        also = "" if is_known else "what is on the hub, which cannot be reached"
        raise unknown(f"split of {place.named}", split, splits, also)
    names = splits[split]
    _check_files(source, place, split, names)
    if not names[0].endswith(ROWS):
        return open_files(place, source.config, split, names, place.images(images))
    files = [os.path.join(place.get(names), name) for name in names]
    with _named(place.named):
        return ListedTable(read_rows(files, names, place.images(images)), place.named)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Says in errors what the data are for."""
    try:
        yield
    except InputError as error:
        message = str(error)
        raise InputError(message if what in message else f"{what}: {message}") from None


def _split_file(source: TaskSource, place: Place) -> str | None:
    """Returns the path of the file that says which images are in which split."""
    if source.split_file is None:
        return None
    if place.is_folder:
        return os.path.join(source.path, source.split_file)
    if os.path.isfile(source.split_file):
        return source.split_file
    return os.path.join(place.get([source.split_file]), source.split_file)


def _splits(source: TaskSource, place: Place) -> Splits:
    """Returns the names of the files of every split; none of a folder of images."""
    if source.files is None:
        return splits_of(place.names, place.card, source.config, place.named)
    return {split: matching(form, place.names) for split, form in source.files.items()}


def _check_files(source: TaskSource, place: Place, split: str, names: Sequence[str]) -> None:
    """Makes sure that the files of a split are of one kind that is known.

    Raises:
        InputError: they are not, or there are none.
    """
    if not names:
        form = (source.files or {})[split]
        raise InputError(f"{place.named}: there are no files '{form}' for split '{split}'.")
    kinds = {os.path.splitext(name)[1] for name in names}
    if len(kinds) > 1 or not kinds <= {*ARROW, *ROWS}:
        raise InputError(
            f"{place.named}: the files of split '{split}', such as '{names[0]}', must be of one "
            f"kind, {', '.join((*ARROW, *ROWS))}, got {', '.join(sorted(kinds))}."
        )
