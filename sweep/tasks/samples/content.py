"""Makes samples of rows: what they show, what is asked, and what is right."""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from methods.data import Images, Split
from sweep import file_digests
from sweep.errors import InputError
from sweep.tasks.image_files import READABLE, Files, check_pictures, decode_all
from sweep.tasks.samples.chosen import Chosen
from sweep.tasks.sources.source import TaskSource

IMAGE_ID = "image_id"
"""Column that tells which rows show the same image, unless a source names another one."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Which picture every row shows; rows that show the same one share it."""

    numbers: np.ndarray
    """int64 [N]: of the picture of every row."""
    firsts: np.ndarray
    """int64 [P]: place of the first row that shows a picture."""
    keys: tuple[Hashable, ...]
    """What tells the pictures apart."""
    holds_elsewhere: bool
    """Whether equal keys are the same picture in other splits, too."""


@dataclass(frozen=True, eq=False)
class Content:
    """Samples of a task, and the rows that they were made of."""

    chosen: Chosen
    split: Split
    shown: Shown
    column: str
    """Of the images."""

    @cached_property
    def pictures_digest(self) -> bytes:
        """SHA-256 of the pictures, or of the data that they are in and which of them they are."""
        found = hashlib.sha256()
        if (digests := self.file_digests) is not None:
            for content in digests:
                found.update(content)
        else:
            found.update(repr((self.chosen.opened.identity, self.column)).encode())
            found.update(self.chosen.rows[self.shown.firsts].tobytes())
        return found.digest()

    @cached_property
    def file_digests(self) -> list[bytes] | None:
        """Digests of the images that are files of their own; None if they are not."""
        if not isinstance(self.split.pictures, Files):
            return None
        files = self.split.pictures.files
        known = file_digests.digests(list(dict.fromkeys(files)))
        return [known[file] for file in files]

    def check(self) -> None:
        """Decodes every picture once on this machine.

        Raises:
            InputError: one cannot be read.
        """
        pictures = self.split.pictures
        if (digests := self.file_digests) is not None and isinstance(pictures, Files):
            check_pictures(dict(zip(pictures.files, digests, strict=True)))
        elif not file_digests.known(READABLE, [self.pictures_digest]):
            assert not isinstance(pictures, np.ndarray)  # no table holds pixels
            decode_all(pictures)
            file_digests.note(READABLE, [self.pictures_digest])

    def shared_with(self, other: "Content") -> int:
        """Returns how many pictures are also in another split, as far as that can be told."""
        is_one_table = self.chosen.table is other.chosen.table
        if is_one_table or (self.shown.holds_elsewhere and other.shown.holds_elsewhere):
            return len(set(self.shown.keys) & set(other.shown.keys))
        return 0

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of all samples."""
        split = self.split
        found = hashlib.sha256(self.pictures_digest)
        found.update(split.labels.tobytes())
        found.update(np.asarray(split.shown, np.int64).tobytes())
        for texts in (split.questions, split.texts):
            found.update(b"\0" if texts is None else b"\1")
            for text in texts or ():
                found.update(repr(text).encode())
        return found.digest()


def make_content(
    chosen: Chosen, source: TaskSource, choices: Sequence[tuple[str, ...]] | None = None
) -> Content:
    """Returns the samples of some rows.

    Args:
        chosen: The rows.
        source: Which columns hold what.
        choices: Of every row, where samples have their own.

    Raises:
        InputError: a column is not there, or a row lacks what it should say.
    """
    columns, table = source.columns, chosen.table
    shown = find_shown(chosen, source)
    pictures: Images = table.pictures(columns.image, chosen.rows[shown.firsts])
    questions = columns.question and tuple(map(source.put, _questions(chosen, columns.question)))
    if source.kind == "pairs":
        said = _texts(chosen, columns.captions, "caption")
        captions: list[list[str]] = [[] for _ in shown.firsts]
        for number, own in zip(shown.numbers.tolist(), said, strict=True):
            captions[number] += [
                line.strip() for text in own for line in text.splitlines() if line.strip()
            ]
        split = Split.of_captions(pictures, captions)
    else:
        texts = choices
        if source.kind == "answers":
            texts = tuple(_texts(chosen, columns.answers, "answer"))
        split = Split(pictures, chosen.labels, questions or None, texts, shown.numbers)
    return Content(chosen, split, shown, columns.image)


def find_shown(chosen: Chosen, source: TaskSource) -> Shown:
    """Tells which rows show the same picture, without decoding any."""
    columns, table = source.columns, chosen.table
    pictures: Any = table.pictures(columns.image, chosen.rows)
    keys: Sequence[Any] | None = None
    holds_elsewhere = True
    if isinstance(pictures, Files):
        keys = pictures.files
    elif columns.image_id is not None:
        keys = chosen.values(columns.image_id)
    elif IMAGE_ID in table.columns and "+" not in chosen.opened.split:
        # Numbers may start again in another split, so they are trusted within one.
        keys, holds_elsewhere = chosen.values(IMAGE_ID), False
    if keys is None:
        here = np.arange(len(chosen))
        return Shown(here, here, tuple(chosen.rows.tolist()), False)
    places = dict[Hashable, int]()
    firsts, numbers = list[int](), list[int]()
    for place, value in enumerate(keys):
        # Rows that do not say so show an image of their own.
        key = ("row", int(chosen.rows[place])) if value is None or value == "" else value
        if key not in places:
            places[key] = len(firsts)
            firsts.append(place)
        numbers.append(places[key])
    shown = np.array(numbers, np.int64), np.array(firsts, np.int64)
    return Shown(*shown, tuple(places), holds_elsewhere)


def _questions(chosen: Chosen, column: str) -> list[str]:
    found, said = list[str](), dict[str, str]()
    for number, text in enumerate(chosen.values(column)):
        if not isinstance(text, str) or not text.strip():
            raise _lacks(chosen, number, "question", column, text)
        found.append(said.setdefault(text, text))
    return found


def _texts(chosen: Chosen, column: str, noun: str) -> list[tuple[str, ...]]:
    """Returns the texts of every row, one or more; equal ones are one object."""
    if f"{column}.{noun}" in chosen.table.columns:
        column = f"{column}.{noun}"  # as VQAv2 has its ten answers
    said, found = dict[Any, Any](), []
    for number, value in enumerate(chosen.values(column)):
        several = value if isinstance(value, list | tuple) else [value]
        try:
            texts = tuple([said[one] for one in several])
        except (KeyError, TypeError):  # one that is new, or no text
            texts = tuple([_text(one, noun) for one in several])
            for text, one in zip(texts, several, strict=True):
                if text is None:
                    raise _lacks(chosen, number, noun, column, one) from None
                if isinstance(one, str):
                    said[one] = text
        if "" in texts:
            texts = tuple(text for text in texts if text)
        if not texts:
            raise _lacks(chosen, number, noun, column, None)
        found.append(said.setdefault(texts, texts))
    return found


def _text(value: Any, noun: str) -> str | None:
    """Returns a value as text, "" if there is none; None if it is something else."""
    if isinstance(value, dict) and noun in value:
        value = value[noun]
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value if value.strip() else ""
    return None


def _lacks(chosen: Chosen, number: int, noun: str, column: str, value: Any) -> InputError:
    got = f", but {value!r}" if value is not None and value != "" else ""
    return InputError(f"{chosen.place(number)} has no {noun} in '{column}'{got}.")
