"""Makes the tasks of one source: chooses rows, names classes, and cuts it into several if asked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweep.errors import InputError
from sweep.tasks.samples.chosen import (
    Chosen,
    Opened,
    Parts,
    by_value,
    draw,
    keep_where,
    split_in_two,
)
from sweep.tasks.samples.content import Content, find_shown, make_content
from sweep.tasks.samples.labels import Classes, read_classes, read_own_choices
from sweep.tasks.samples.sourced_task import SourcedTask
from sweep.tasks.sources.source import Role, TaskSource
from sweep.texts import plural

_NOUNS = {"train": "training", "test": "test"}


@dataclass(frozen=True, eq=False)
class Made:
    """The tasks of a source, and what is to be said about all of them together."""

    tasks: Mapping[str, SourcedTask]
    warnings: tuple[str, ...]


def make_tasks(name: str, source: TaskSource, roles: Sequence[Role]) -> Made:
    """Returns the tasks of a source, by name: one, or several if it is cut.

    Args:
        name: Of the entry in the study.
        source: Where the data are and how they are read.
        roles: train and test; of a probe, test alone.

    Raises:
        InputError: the data are not what the source says.
    """
    what = f"task '{name}'" if "train" in roles else f"probe '{name}'"
    parts: Parts = keep_where(_open(source, roles, what), source.where, what)
    classes, num_without = None, 0
    if source.has_classes:
        labelled = read_classes(parts, source, what)
        classes, parts, num_without = labelled.classes, labelled.parts, labelled.num_without
    if source.split is not None:
        both = split_in_two(parts["train"], source.split, source.split_seed)
        parts = {role: both[role] for role in roles}
    warnings = [*_left_out(num_without, source, what), *_unexpected(parts, classes, source, what)]
    tasks = {}
    for own_name, own_parts, own_classes in _pieces(name, parts, classes, source):
        own_what = what.replace(f"'{name}'", f"'{own_name}'")
        _check_rows(own_parts, own_classes, source, own_what)
        contents = {
            role: _content(part, role, source.as_read(role)) for role, part in own_parts.items()
        }
        tasks[own_name] = SourcedTask(own_name, source, own_classes, contents)
    return Made(tasks, tuple(warnings))


def numbered_names(name: str, count: int) -> list[str]:
    """Returns what the tasks are called that a source is cut into; they sort as they are cut.

    >>> numbered_names("cifar100", 10)[:2]
    ['cifar100-01', 'cifar100-02']
    """
    return [f"{name}-{number:0{len(str(count))}}" for number in range(1, count + 1)]


def _open(source: TaskSource, roles: Sequence[Role], what: str) -> dict[str, Chosen]:
    """Returns all rows by what they are for; those that are split later, as `train`."""
    if source.train is None and ("train" in roles or source.split is not None):
        raise InputError(f"{what}: train is null, and only probes need nothing to train on.")
    splits = {"train": source.train, "test": source.test}
    wanted: Sequence[str] = ["train"] if source.split is not None else roles
    opened: dict[str, Opened] = {}
    for role in wanted:
        split = str(splits[role])
        opened[role] = next((one for one in opened.values() if one.split == split), None) or Opened(
            source.as_read(role), split, what
        )
    return {role: Chosen.all_of(one) for role, one in opened.items()}


def _pieces(
    name: str, parts: Parts, classes: Classes | None, source: TaskSource
) -> Iterator[tuple[str, Parts, Classes | None]]:
    """Yields names, rows and classes of the tasks that a source is cut into."""
    cut = source.cut
    if cut is None:
        yield name, parts, classes
    elif cut.column is not None:
        for value, rows in by_value(parts, cut.column).items():
            there = sorted({int(one) for part in rows.values() for one in np.unique(part.labels)})
            yield f"{name}-{value}", *_of_classes(rows, classes, there)
    elif cut.tasks is not None and classes is not None:
        count = len(classes.names)
        if count % cut.tasks:
            fitting = [str(n) for n in range(2, count // 2 + 1) if count % n == 0]
            hint = f"; allowed: {', '.join(fitting)}" if fitting else ""
            raise InputError(
                f"task '{name}': cut.tasks: {count} classes cannot be cut into {cut.tasks} tasks "
                f"of equal size{hint}."
            )
        order = np.arange(count)
        if cut.seed is not None:
            order = np.random.RandomState(cut.seed).permutation(count)
        for own_name, labels in zip(
            numbered_names(name, cut.tasks), np.split(order, cut.tasks), strict=True
        ):
            yield own_name, *_of_classes(parts, classes, labels.tolist())


def _of_classes(
    parts: Parts, classes: Classes | None, labels: Sequence[int]
) -> tuple[Parts, Classes | None]:
    """Returns the rows of some classes, with these numbered from 0."""
    if classes is None:
        return parts, None
    numbers = np.full(len(classes.names), -1)
    numbers[labels] = np.arange(len(labels))
    found = {}
    for role, part in parts.items():
        renumbered = Chosen(part.opened, part.rows, numbers[part.labels])
        found[role] = renumbered.at(renumbered.labels >= 0)
    return found, classes.only(labels)


def _check_rows(parts: Parts, classes: Classes | None, source: TaskSource, what: str) -> None:
    for role, part in parts.items():
        if not len(part):
            why = ""
            if source.where or source.classes or source.cut:
                why = " that where, classes and cut leave"
            raise InputError(f"{what}: there are no {_NOUNS[role]} rows{why}.")
    if classes is None:
        return
    if len(classes.names) < 2:
        raise InputError(f"{what} needs two or more classes, got '{classes.names[0]}' alone.")
    if "train" in parts:
        counts = np.bincount(parts["train"].labels, minlength=len(classes.names))
        missing = [classes.names[label] for label in np.flatnonzero(counts == 0)]
        if missing:
            more = f", nor are there of {len(missing) - 1:,} others" if len(missing) > 1 else ""
            raise InputError(
                f"{what}: there are no training images of class '{missing[0]}'{more}; list the "
                "classes to use as classes."
            )


def _content(part: Chosen, role: str, source: TaskSource) -> Content:
    """Returns the samples of some rows, after few are drawn if that is asked."""
    if role == "train":
        part = draw(part, source.shots, source.subset, source.seed)
    if source.kind == "choices" and not source.has_classes:
        labels, choices = read_own_choices(part, source)
        return make_content(Chosen(part.opened, part.rows, labels), source, choices)
    return make_content(part, source)


def _left_out(count: int, source: TaskSource, what: str) -> Iterator[str]:
    if count:
        yield (
            f"{_begin(what)}: left out {plural(count, 'row')} with an empty list in "
            f"'{source.columns.label}'."
        )


def _unexpected(
    parts: Parts, classes: Classes | None, source: TaskSource, what: str
) -> Iterator[str]:
    """Yields what differs from the sizes of a protocol, before few samples are drawn."""
    expected = source.expected
    sizes: list[tuple[int | None, int | None, str]] = [
        (len(classes.names) if classes else None, expected.classes, "classes")
    ]
    for role, part in parts.items():
        # A sample of a task is a row, except that the sizes of captioned images count images.
        wanted: int | None = getattr(expected, role)
        if wanted is not None:
            is_paired = source.kind == "pairs"
            size = len(find_shown(part, source.as_read(role)).firsts) if is_paired else len(part)
            noun = "samples" if source.kind == "answers" else "images"
            sizes.append((size, wanted, f"{_NOUNS[role]} {noun}"))
    for count, wanted, noun in sizes:
        if count is not None and wanted is not None and count != wanted:
            yield f"{_begin(what)}: {count:,} {noun} where the protocol has {wanted:,}."


def _begin(what: str) -> str:
    """Returns what messages call something, at the start of a sentence."""
    return what[0].upper() + what[1:]
