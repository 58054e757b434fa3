"""Reads which class, or which of a sample's own choices, is right for every row."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

import numpy as np

from sweep.errors import InputError, unknown
from sweep.tasks.samples.chosen import Chosen, Parts
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table_rows import Table

Name = str | int | None
"""What a row calls its class: a name, or a number without one; None: it has no label."""


@dataclass(frozen=True)
class Classes:
    """The classes of a task, in the order of its labels.

    >>> Classes(("sea_lion", "apse/indoor"), ("sea lion", "apse/indoor")).only([1])
    Classes(names=('apse/indoor',), said=('apse/indoor',))
    """

    names: tuple[str, ...]
    """As the data name them."""
    said: tuple[str, ...]
    """As prompts name them."""

    def only(self, labels: Sequence[int]) -> "Classes":
        """Returns some of them."""
        return Classes(
            tuple(self.names[label] for label in labels),
            tuple(self.said[label] for label in labels),
        )


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows with labels, and the classes that these stand for."""

    classes: Classes
    parts: Mapping[str, Chosen]
    num_without: int
    """Rows without any label, which were left out."""


def read_classes(parts: Parts, source: TaskSource, what: str) -> Labelled:
    """Returns the rows of the classes that are used, with their labels.

    In names that the data give "_" is read as a space, unless `rename` says what to call the class.
    Where labels are plain numbers their names are those of `classes`, letter by letter.

    Raises:
        InputError: a row has no label, or an unknown one; or two classes would be called the same.
    """
    read = {role: source.as_read(role) for role in parts}
    everywhere = {role: _names(part.table, read[role]) for role, part in parts.items()}
    named, used, count = dict[str, Chosen](), dict[str, list[Any]](), 0
    for role, part in parts.items():
        names = [everywhere[role][row] for row in part.rows.tolist()]
        _check_labels(part, names, read[role].columns.label)
        named[role] = part.at(np.array([name is not None for name in names], bool))
        used[role] = [name for name in names if name is not None]
        count += len(part) - len(named[role])
    known = set().union(*everywhere.values()) - {None}
    if _are_numbers(known, source.classes):
        classes = _numbered(source, named, used, what)
        places: Mapping[Any, int] = {str(i): i for i in range(len(classes.names))}
    else:
        if any(isinstance(name, int) for name in known):
            raise InputError(
                f"{what}: column '{source.columns.label}' holds both numbers and names of classes."
            )
        said = [p.table.class_names(read[role].columns.label) for role, p in parts.items()]
        in_order = said[0] if all(set(one or ()) == set(said[0] or ()) for one in said) else None
        in_use = {name for those in used.values() for name in those}
        classes = _named(source, in_order, {*map(str, known)}, in_use, what)
        places = {name: i for i, name in enumerate(classes.names)}
    _check_said(classes, what)
    found = {}
    for role, part in named.items():
        labels = np.array([places.get(str(name), -1) for name in used[role]], np.int64)
        of_class = Chosen(part.opened, part.rows, labels)
        found[role] = of_class.at(labels >= 0)
    return Labelled(classes, found, count)


def _names(table: Table, source: TaskSource) -> list[Name]:
    """Returns what every row of a table calls its class; None where it says no such thing."""
    column, largest = source.columns.label, source.columns.largest
    names, values = table.class_names(column), table.values(column)
    if largest is None:
        return [_name(value, names) for value in values]
    found: list[Name] = []
    for row, (value, sizes) in enumerate(zip(values, table.values(largest), strict=True)):
        are_lists = isinstance(value, list) and isinstance(sizes, list)
        if not are_lists or [*map(_is_number, sizes)] != [True] * len(value):
            raise InputError(
                f"{table.place(row)}: columns.largest needs as many numbers in '{largest}' as "
                f"labels in '{column}', got {sizes!r:.60} for {value!r:.60}."
            )
        found.append(_name(value[sizes.index(max(sizes))] if sizes else None, names))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _name(value: Any, names: Sequence[str] | None) -> Name:
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if isinstance(value, bool | float) and value == value // 1:
        value = int(value)  # whole numbers with gaps among them are stored so
    if isinstance(value, int) and names is not None:
        return names[value] if 0 <= value < len(names) else None
    return value if isinstance(value, int) or (isinstance(value, str) and value) else None


def _check_labels(part: Chosen, names: Sequence[Name], column: str) -> None:
    """Makes sure that every row has a label; of lists of labels some may be empty.

    Raises:
        InputError: one has none.
    """
    if None not in names:
        return
    for number, (name, value) in enumerate(zip(names, part.values(column), strict=True)):
        if name is not None or value == []:
            continue
        if isinstance(value, list) and len(value) > 1:
            problem = f"has {len(value)} labels in '{column}'; columns.largest says which counts"
        elif value is None or value == "" or value == [None]:
            problem = f"has no label in '{column}'"
        else:
            problem = f"has the label {value!r} in '{column}', which is no class"
        raise InputError(f"{part.place(number)} {problem}.")


def _are_numbers(known: set[Any], classes: tuple[str, ...] | None) -> bool:
    """Returns whether labels are numbers, if need be as text, that have no names."""
    if any(isinstance(name, int) for name in known):
        return all(isinstance(name, int) for name in known)
    if classes is None or known & set(classes):
        return False
    return all(name.isdecimal() for name in known)


def _numbered(
    source: TaskSource, parts: Parts, used: Mapping[str, list[Any]], what: str
) -> Classes:
    names = source.classes or (source.rename if isinstance(source.rename, tuple) else None)
    if names is None:
        raise InputError(
            f"{what}: column '{source.columns.label}' holds numbers without names; give the names "
            "as classes, in the order of the numbers."
        )
    count = len(names)
    for role, part in parts.items():
        for number, name in enumerate(used[role]):
            if not 0 <= int(name) < count:
                raise InputError(
                    f"{part.place(number)}: label {name} is none of the {count} classes, which "
                    f"are numbered from 0 to {count - 1}."
                )
    renamed = _renamed(source, names, names, what)
    return Classes(names, tuple(renamed.get(name, name) for name in names))


def _named(
    source: TaskSource,
    in_order: Sequence[str] | None,
    known: set[str],
    used: set[str],
    what: str,
) -> Classes:
    """Returns the classes of data that name them.

    Args:
        source: Which of them are used, and what they are called.
        in_order: All their names in order, where the data set says so.
        known: Names in any row.
        used: Names in the rows that are used.
        what: What they are for; errors name it.
    """
    there = known if in_order is None else set(in_order)
    names = source.classes or tuple(in_order or sorted(used))
    for name in names:
        if name not in there:
            raise unknown(f"class of {what}", name, there)
    renamed = _renamed(source, names, there, what)
    said = (renamed.get(name, name.replace("_", " ")) for name in names)
    return Classes(tuple(names), tuple(said))


def _renamed(
    source: TaskSource, names: Sequence[str], there: Collection[str], what: str
) -> Mapping[str, str]:
    """Returns what classes are called in prompts, by their names.

    Args:
        source: Where it stands: by names, or as a list.
        names: Of the classes that are used, in order.
        there: Names that the data have.
        what: What they are for; errors name it.
    """
    if isinstance(source.rename, tuple):
        if len(source.rename) != len(names):
            raise InputError(
                f"{what}: rename lists {len(source.rename)} names, and there are {len(names)} "
                "classes; give one for each, in their order."
            )
        return dict(zip(names, source.rename, strict=True))
    for name in source.rename:
        if name not in there:
            raise unknown(f"class of {what} in rename", name, there)
    return source.rename


def _check_said(classes: Classes, what: str) -> None:
    if len(classes.names) < 2:
        raise InputError(f"{what} needs two or more classes, got {len(classes.names)}.")
    first = dict[str, str]()
    for name, said in zip(classes.names, classes.said, strict=True):
        if not said.strip():
            raise InputError(f"{what}: class '{name}' would have no name in prompts.")
        if first.setdefault(said, name) != name:
            raise InputError(
                f"{what}: the classes '{first[said]}' and '{name}' would both be called '{said}' "
                "in prompts; rename one."
            )


def read_own_choices(
    part: Chosen, source: TaskSource
) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]]:
    """Returns the number of the right choice of every row, and its choices.

    All labels of a part are read in the same way: as numbers from 0, as texts of choices, or as
    letters, whichever fits them all.

    Raises:
        InputError: a row has no choices, or its label is none of them.
    """
    columns = source.columns
    offered = _offered(part, columns.choices or ())
    names, labels = part.table.class_names(columns.label), part.values(columns.label)
    readings: list[Callable[[Any, list[str | None]], int | None]] = [_as_number]
    if not names and any(isinstance(label, str) for label in labels):
        readings = [_as_text, _as_letter, _as_digits]
    best: list[int | None] = []
    for read in readings:
        found = [read(label, own) for label, own in zip(labels, offered, strict=True)]
        if not best or found.count(None) < best.count(None):
            best = found
    if None in best:
        number = best.index(None)
        own = [choice for choice in offered[number] if choice is not None]
        raise InputError(
            f"{part.place(number)}: label {labels[number]!r} in '{columns.label}' is none of the "
            f"{len(own)} choices, such as '{own[0]}'; allowed: numbers from 0, letters from A, or "
            "their texts."
        )
    chosen = [
        sum(choice is not None for choice in own[:place])  # choices that are empty are left out
        for own, place in zip(offered, best, strict=True)
    ]
    texts = tuple(tuple(choice for choice in own if choice is not None) for own in offered)
    return np.array(chosen, np.int64), texts


def _offered(part: Chosen, choices: str | tuple[str, ...]) -> list[list[str | None]]:
    """Returns the choices of every row, with None for those that are empty."""
    if isinstance(choices, str):
        cells: list[Any] = part.values(choices)
    else:
        cells = [list(row) for row in zip(*map(part.values, choices), strict=True)]
    said = dict[str, str]()
    found = []
    for number, cell in enumerate(cells):
        if not isinstance(cell, list):
            raise InputError(
                f"{part.place(number)}: columns.choices '{choices}' must hold a list, got {cell!r}."
            )
        own = [None if choice is None else str(choice).strip() or None for choice in cell]
        if own.count(None) == len(own):
            raise InputError(f"{part.place(number)} has no choices.")
        found.append([said.setdefault(text, text) if text else None for text in own])
    return found


def _as_number(label: Any, own: list[str | None]) -> int | None:
    if isinstance(label, float) and label == label // 1:
        label = int(label)
    fits = isinstance(label, int) and 0 <= label < len(own) and own[label] is not None
    return int(label) if fits else None


def _as_text(label: Any, own: list[str | None]) -> int | None:
    text = str(label).strip()
    return own.index(text) if label is not None and text in own else None


def _as_letter(label: Any, own: list[str | None]) -> int | None:
    letter = str(label).strip().rstrip(".)").lstrip("(").upper()
    return _as_number(ascii_uppercase.find(letter), own) if len(letter) == 1 else None


def _as_digits(label: Any, own: list[str | None]) -> int | None:
    text = str(label).strip()
    return _as_number(int(text), own) if text.isdecimal() else None
