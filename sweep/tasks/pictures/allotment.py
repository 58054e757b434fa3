"""Decides which pictures are for training, for testing, for retrieval and for pretraining.

All drawings of one concept are on one side, so that what a test shows was never learnt in another
style.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep.tasks.pictures.clip_words import SHOWS_SOMETHING_ELSE
from sweep.tasks.pictures.collected import EMOJI, Picture
from sweep.tasks.pictures.task_list import HELD_OUT_STYLE, SUITES, TASKS, PictureTask
from sweep.tasks.pictures.thumbnails import digest_of

SCANS = ("fashion-mnist", "scikit-learn")
"""Collections that have parts of their own: no concept is on one side, but no picture on two."""
_SHARES = {"test": 0.30, "retrieval": 0.06, "train": 0.36}
"""Of the concepts of a group that a task asks for; the others are for pretraining."""
_SHARES_OF_SUITES = {"test": 0.36, "retrieval": 0.06}
_SHARES_OF_OTHERS = {"retrieval": 0.16}
_SELDOM = 6
"""Pictures of every class of scans that pretraining sees."""
_VARIANTS = 2
"""Most captions of one concept in one style."""
_ALIKE = 0.985
"""Correlation of the pixels from which on two drawings are near duplicates."""
IN_NO_TASK = frozenset(
    [
        "pig nose",
        "paw prints",
        "feather",
        "wing",
        "coral",
        "shell",
        "spider web",
        "microbe",
        "rock",
        "brick",
        "wood",
        "seat",
        "satellite",
        "wheel",
        "oil drum",
        "octagonal sign",
        "motorway",
        "railway track",
        "station",
        "bus stop",
        "horizontal traffic light",
        "vertical traffic light",
        "fuel pump",
        "construction sign",
        "police cars revolving light",
        "ring buoy",
        "anchor",
        "salt shaker",
        "cooking",
        "building construction",
        "folding hand fan",
        "gem stone",
        "hair pick",
        "lipstick",
        "shopping bags",
        "prayer beads",
        "link symbol",
        "balance scale",
        "kaaba",
        "statue of liberty",
        "barber pole",
        "carousel horse",
        "thermometer",
        "umbrella",
        "closed umbrella",
        "fire",
        "high voltage sign",
        "pouring liquid",
        "ice cube",
        "baby bottle",
        "empty nest",
        "nest with eggs",
        "rosette",
        "diya lamp",
        "candle",
        "red lantern",
        "abacus",
        "film frames",
        "clapper board",
        "magnifying glass",
        "bubbles",
        "person",
        "frowning",
        "pouting",
        "breast-feeding",
        "feeding baby",
        "pregnant",
        "in tuxedo",
        "with a cap",
        "with crown",
        "with headscarf",
        "with turban",
        "with veil",
        "wearing turban",
        "bride with veil",
        "prince",
        "princess",
        "face massage",
        "getting massage",
        "in steamy room",
        "haircut",
        "getting haircut",
        "skull",
        "skull and crossbones",
        "pistol",
        "direct hit",
        "tumbler",
        "leafy",
        "monkey covering its ears",
        "monkey covering its eyes",
        "monkey covering its mouth",
        "wheelchair",
        "manual wheelchair",
        "motorized wheelchair",
        "roller skate",
        "skateboard",
        "umbrella with rain drops",
        "umbrella on ground",
        "droplet",
        "love hotel",
        "wedding",
        "flower playing cards",
        "diving mask",
        "martial arts uniform",
        "running shirt with sash",
        "chess pawn",
        "cooked rice",
    ]
)
"""Concepts that belong to no class, whatever list they stand in."""


@dataclass(frozen=True, eq=False)
class Row:
    """A picture and what it is for."""

    picture: Picture
    tasks: tuple[tuple[str, str, str], ...]
    """Task, label and split."""
    pool: str | None
    order: str
    """What rows are sorted by."""


def allot(pictures: Iterable[Picture]) -> list[Row]:
    """Returns the pictures that are shipped, in a fixed order."""
    found = list(pictures)
    sides = _sides(found)
    rows = [row for picture in found if (row := _row(picture, sides)) is not None]
    rows.sort(key=lambda row: row.order)
    rows = _without_copies(_capped(rows))
    return _with_own_captions(
        [row for row in rows if not (row.tasks and _shows_something_else(row.picture))]
    )


def _shows_something_else(picture: Picture) -> bool:
    return picture.source == "openclipart" and Path(picture.file).stem in SHOWS_SOMETHING_ELSE


def _with_own_captions(rows: Sequence[Row]) -> list[Row]:
    """Leaves out pairs of the retrieval set with a caption of another pair, or of pretraining.

    What is asked for is then never something that was learnt of other pictures, such as "Thai
    letter".
    """
    kept, said = [], {row.picture.caption for row in rows if row.pool == "pretrain"}
    for row in rows:
        if row.pool == "retrieval":
            if row.picture.caption in said:
                continue
            said.add(row.picture.caption)
        kept.append(row)
    return kept


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _sides(pictures: Sequence[Picture]) -> Mapping[str, str]:
    """Returns the side of every concept, by name."""
    group: dict[str, str] = {}
    for picture in sorted(pictures, key=lambda one: one.source not in EMOJI):
        if picture.source not in SCANS:
            # A concept that is drawn in two groups counts for the first one.
            group.setdefault(picture.name, picture.group)
    names = defaultdict[str, list[str]](list)
    for name, kind in group.items():
        names["card" if name.endswith(" card") else kind].append(name)
    asked = {
        group for task in TASKS.values() for groups in task.classes.values() for group in groups
    }
    probed = {
        group for suite in SUITES.values() for groups in suite.classes.values() for group in groups
    }
    sides = {}
    for kind, those in names.items():
        shares = _SHARES_OF_OTHERS
        if kind in asked or kind == "card":
            shares = _SHARES
        elif kind in probed:
            shares = _SHARES_OF_SUITES
        ordered = sorted(those, key=lambda name: _hash("side", name))
        start = 0.0
        for side, share in shares.items():
            for name in ordered[round(start * len(those)) : round((start + share) * len(those))]:
                sides[name] = side
            start += share
    return defaultdict(lambda: "pretrain", sides)


def _row(picture: Picture, sides: Mapping[str, str]) -> Row | None:
    order = _hash("row", picture.source, picture.file)
    side = picture.part if picture.source in SCANS else sides[picture.name]
    tasks = []
    for task in (*TASKS.values(), *SUITES.values()):
        label = _label(task, picture)
        split = "test" if side == "test" else "train"
        if (
            label is not None
            and side in ("train", "test")
            and not (task.is_probe and split == "train")
        ):
            tasks.append((task.name, label, split))
    if tasks:
        return Row(picture, tuple(tasks), None, order)
    if picture.source == HELD_OUT_STYLE or side == "test":
        return None
    if side == "retrieval":
        return Row(picture, (), "retrieval", order)
    if picture.group == "flag" and (picture.source not in ("noto", "twemoji")):
        return None
    return Row(picture, (), "pretrain", order)


def _label(task: PictureTask, picture: Picture) -> str | None:
    if picture.source not in task.sources or picture.name in IN_NO_TASK:
        return None
    for label, groups in task.classes.items():
        if picture.group in groups:
            return label
    return None


def _capped(rows: Sequence[Row]) -> list[Row]:
    """Leaves out what there is enough of."""
    kept, count = [], Counter[tuple[str, ...]]()
    retrieved = set[str]()
    names = defaultdict[tuple[str, str, str], set[str]](set)
    for row in rows:
        picture = row.picture
        if row.pool == "retrieval":
            if picture.name in retrieved:
                continue
            retrieved.add(picture.name)
        elif row.pool == "pretrain" or picture.source in EMOJI:
            key = (picture.name, picture.source)
            most = _VARIANTS if picture.source in EMOJI else 8
            if count[key] == most:
                continue
            count[key] += 1
        tasks = []
        for name, label, split in row.tasks:
            task = (TASKS | SUITES)[name]
            known = names[name, label, split]
            if picture.source in SCANS:
                tasks.append((name, label, split))
                continue
            if picture.name not in known and len(known) >= task.names * (
                0.5 if split == "test" else 1
            ):
                continue
            if count[name, picture.name] == task.drawings:
                continue
            known.add(picture.name)
            count[name, picture.name] += 1
            tasks.append((name, label, split))
        if row.tasks and not tasks:
            continue
        kept.append(Row(picture, tuple(tasks), row.pool, row.order))
    return _seldom(kept)


def _seldom(rows: Sequence[Row]) -> list[Row]:
    """Gives a few training scans of every class to pretraining instead."""
    kept, seen = [], Counter[tuple[str, str]]()
    for row in rows:
        picture = row.picture
        key = (picture.source, picture.group)
        if picture.source in SCANS and picture.part == "train" and seen[key] < _SELDOM:
            seen[key] += 1
            row = Row(picture, (), "pretrain", row.order)
        kept.append(row)
    return kept


_RANK = {"test": 0, "retrieval": 1, "train": 2, "pretrain": 3}


def _rank(row: Row) -> int:
    return _RANK[row.pool or row.tasks[0][2]]


def _without_copies(rows: Sequence[Row]) -> list[Row]:
    """Leaves out copies, and near copies of drawings that are on another side.

    What is for testing stays; what is for pretraining goes first.
    """
    kept: list[Row] = []
    seen = set[str]()
    drawn = np.zeros((len(rows), 16 * 16 * 3), np.float32)
    ranks = np.zeros(len(rows), int)
    number = 0
    for row in sorted(rows, key=_rank):
        digest = digest_of(row.picture.pixels)
        if digest in seen:
            continue
        if row.picture.source in (*EMOJI, "openclipart") and not row.picture.name.endswith(" card"):
            small = _small(row.picture.pixels)
            alike = drawn[:number] @ small > _ALIKE
            if (alike & (ranks[:number] != _rank(row))).any():
                continue
            drawn[number], ranks[number] = small, _rank(row)
            number += 1
        seen.add(digest)
        kept.append(row)
    return sorted(kept, key=lambda row: row.order)


def _small(pixels: np.ndarray) -> np.ndarray:
    """Returns 16x16 pixels as a vector of mean 0 and length 1."""
    small = pixels.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)).reshape(-1)
    small = small - small.mean()
    vector: np.ndarray = (small / max(float(np.linalg.norm(small)), 1e-6)).astype(np.float32)
    return vector
