"""Reads rows of JSON files: plain ones, and conversations about an image, as LLaVA has them.

A file with one object in COCO's format becomes a row for every image, with its captions.

An entry of a conversation becomes a row for every question and its answer; the benchmarks for
instruction tuning (CoIN, UCIT, MLLM-CL) have `text` and `answer` instead in what they test on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from sweep.errors import InputError
from sweep.tasks.captioned_folder import read_table
from sweep.tasks.sources.coco_captions import captioned_images, holds_captions
from sweep.tasks.sources.listed import Listing

_IMAGE = "<image>"
"""Stands in a question where the model is to see the image."""
_ASKING, _ANSWERING = ("human", "user"), ("gpt", "assistant")
_Row = Mapping[str, Any]


def read_rows(files: Sequence[str], names: Sequence[str], images: str) -> Listing:
    """Returns the rows of JSON, JSON lines or CSV files, one file after the other.

    Args:
        files: Their paths.
        names: What they are called, for messages.
        images: Folder that the paths of images are relative to.

    Raises:
        InputError: one cannot be read, or has something else in it.
    """
    places, rows = list[tuple[str, int]](), list[_Row]()
    for file, name in zip(files, names, strict=True):
        entries = read_table(Path(file)) if file.endswith(".csv") else _entries(file, name)
        for number, entry in entries:
            for row in _rows(entry, f"'{name}', entry {number}"):
                places.append((name, number))
                rows.append(row)
    columns = dict.fromkeys(key for row in rows for key in row)

    def place(row: int) -> str:
        name, number = places[row]
        return f"'{name}', entry {number}"

    return Listing(
        columns={key: [row.get(key) for row in rows] for key in columns},
        place=place,
        files=files,
        images=images,
    )


def _entries(file: str, name: str) -> Iterator[tuple[int, _Row]]:
    """Yields the number and the content of every entry of a JSON file: a list, or one per line."""
    try:
        with open(file, encoding="utf-8-sig") as stream:
            start = stream.read(1)
            while start.isspace():
                start = stream.read(1)
            stream.seek(0)
            if start == "[":
                entries = list(enumerate(json.load(stream), start=1))
            else:
                entries = list(_objects(stream, name))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise InputError(f"'{name}' cannot be read: {reason}.") from None
    for number, entry in entries:
        if not isinstance(entry, dict):
            raise InputError(f"'{name}', entry {number}: must be an object, got {entry!r:.60}.")
        yield number, entry


def _objects(stream: TextIO, name: str) -> Iterator[tuple[int, Any]]:
    """Yields one object per line; or, of one object with images and captions, one per image."""
    numbered = enumerate(stream, start=1)
    lines: Iterator[tuple[int, str]] = ((n, line) for n, line in numbered if line.strip())
    number, first = next(lines, (0, "{}"))
    try:
        found = json.loads(first)
    except json.JSONDecodeError:  # it goes on in the next line
        stream.seek(0)
        found, lines = json.load(stream), iter(())
    if holds_captions(found):
        yield from captioned_images(found, name)
    elif number:
        yield number, found
        yield from ((n, json.loads(line)) for n, line in lines)


def _rows(entry: _Row, place: str) -> Iterator[_Row]:
    turns = entry.get("conversations")
    if turns is None:
        yield _tested(entry)
        return
    shared = {key: value for key, value in entry.items() if key != "conversations"}
    shared["has_image"] = bool(entry.get("image"))
    shared.setdefault("image", None)
    pairs = list(_pairs(turns, place))
    if not pairs:
        raise InputError(f"{place}: a conversation without a question and its answer.")
    count = sum(question.count(_IMAGE) for question, _ in pairs)
    if count > 1:
        raise InputError(f"{place}: a conversation about {count} images; a sample shows one.")
    for question, answer in pairs:
        yield shared | {"question": _without_image(question), "answer": answer}


def _tested(entry: _Row) -> _Row:
    """Returns a row that is no conversation; a `text` with an `answer` is its question."""
    if "answer" not in entry or "question" in entry or not isinstance(entry.get("text"), str):
        return entry
    shared = {key: value for key, value in entry.items() if key != "text"}
    shared["has_image"] = bool(entry.get("image"))
    return shared | {"question": _without_image(entry["text"])}


def _pairs(turns: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yields questions with their answers, which must take turns."""
    if not isinstance(turns, list):
        raise InputError(f"{place}: conversations must be a list, got {turns!r:.60}.")
    asked: str | None = None
    for turn in turns:
        speaker, text = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (0, 0)
        if not isinstance(text, str) or speaker not in (*_ASKING, *_ANSWERING):
            raise InputError(
                f"{place}: a turn must have a text as 'value' and 'from' human or gpt, got "
                f"{turn!r:.60}."
            )
        if (speaker in _ASKING) != (asked is None):
            raise InputError(f"{place}: questions and answers do not take turns.")
        if asked is None:
            asked = text
        else:
            yield asked, text
            asked = None
    if asked is not None:
        raise InputError(f"{place}: the last question has no answer.")


def _without_image(question: str) -> str:
    return question.replace(_IMAGE, "").strip()
