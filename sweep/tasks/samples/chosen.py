"""Chooses rows of tables: by what they say, by a random split, by a file, or few of every class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from sweep.errors import InputError, unknown
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import identify, open_table
from sweep.tasks.sources.table_rows import Table


class Opened:
    """One split of a data set, opened once."""

    def __init__(self, source: TaskSource, split: str, what: str) -> None:
        """Opens it; `what` it is for is said in messages."""
        self.split = split
        self.table = open_table(source, split, what)
        self._source, self._what = source, what

    @cached_property
    def identity(self) -> str:
        """The commit of the data set, or a digest of the files of this split."""
        alone = self._source.model_copy(update={"train": self.split, "test": self.split})
        return identify(alone, self._what)


@dataclass(frozen=True, eq=False)
class Chosen:
    """Rows of a split, in order, and the class of each.

    >>> import numpy as np
    >>> some = Chosen(None, np.array([3, 5, 8]), np.array([0, 1, 0]))
    >>> some.at(some.labels == 0).rows.tolist()
    [3, 8]
    """

    opened: Opened
    rows: np.ndarray
    """int64 [N]."""
    labels: np.ndarray
    """int64 [N]: the class of each; 0 where there are none."""

    @classmethod
    def all_of(cls, opened: Opened) -> "Chosen":
        """Returns all rows."""
        count = len(opened.table)
        return cls(opened, np.arange(count), np.zeros(count, np.int64))

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.rows)

    @property
    def table(self) -> Table:
        """The table that the rows are in."""
        return self.opened.table

    def at(self, places: np.ndarray) -> "Chosen":
        """Returns those at some places (int64), or those that a mask (bool [N]) holds for."""
        return replace(self, rows=self.rows[places], labels=self.labels[places])

    def values(self, column: str) -> list[Any]:
        """Returns what a column says in these rows."""
        values = self.table.values(column)
        return [values[row] for row in self.rows.tolist()]

    def place(self, number: int) -> str:
        """Returns where the row of a number stands, for messages."""
        return self.table.place(int(self.rows[number]))


Parts = Mapping[str, Chosen]
"""Rows by what they are for: train, test, or both as long as they are not told apart."""


def keep_where(parts: Parts, where: Mapping[str, Any], what: str) -> dict[str, Chosen]:
    """Returns the rows that have certain values in certain columns.

    Raises:
        InputError: there is no such column, or no row of any part has one of the values.
    """
    kept = dict(parts)
    for column, wanted in where.items():
        several = wanted if isinstance(wanted, tuple) else (wanted,)
        said = {role: _texts(part, column) for role, part in kept.items()}
        there = set[str]().union(*(texts for those in said.values() for texts in those))
        looked_for = {_asked(kept, column, value, there, what) for value in several}
        kept = {
            role: part.at(
                np.array([not looked_for.isdisjoint(texts) for texts in said[role]], bool)
            )
            for role, part in kept.items()
        }
    return kept


def _texts(part: Chosen, column: str) -> list[tuple[str, ...]]:
    """Returns what a column says in every row, as texts; names instead of numbers of labels."""
    names = part.table.class_names(column)
    return [
        tuple(_text(value, names) for value in (cell if isinstance(cell, list) else [cell]))
        for cell in part.values(column)
    ]


def _text(value: Any, names: Sequence[str] | None = None) -> str:
    """Returns a value as text, equal for numbers that are equal."""
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    if isinstance(value, bool | float) and value == value // 1:
        return str(int(value))
    return str(value)


def _asked(parts: Parts, column: str, value: Any, there: Iterable[str], what: str) -> str:
    """Returns a value that is asked for, as the rows have it."""
    some = next(iter(parts.values())).table.class_names(column)
    if _text(value) in there:
        return _text(value)
    if isinstance(value, int) and some and _text(value, some) in there:
        return _text(value, some)
    raise unknown(f"value of column '{column}' of {what}", str(value), there)


def split_in_two(part: Chosen, share: float, seed: int) -> dict[str, Chosen]:
    """Returns a part in two, drawn as `torch.utils.data.random_split` draws with such a generator.

    Args:
        part: What to split.
        share: Of the rows, to train on; what is not a whole number is rounded down.
        seed: Of the generator.
    """
    drawn = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed)).numpy()
    count = int(share * len(part))
    return {"train": part.at(np.sort(drawn[:count])), "test": part.at(np.sort(drawn[count:]))}


def draw(part: Chosen, shots: int | None, subset: int | None, seed: int) -> Chosen:
    """Returns some rows, in the order of the table.

    One permutation of the whole table decides: rows drawn for fewer are among those for more, and
    which rows of a class are drawn does not depend on what other classes there are.

    Args:
        part: What to draw from.
        shots: Rows of every class, at most.
        subset: Rows, at most, of those that are left.
        seed: Of the permutation.
    """
    ranks = np.random.default_rng(seed).permutation(len(part.table))[part.rows]
    order = np.argsort(ranks)
    if shots is not None:
        labels = part.labels[order]
        by_class = np.argsort(labels, kind="stable")
        firsts = np.searchsorted(labels[by_class], labels[by_class])
        numbers = np.empty(len(order), np.int64)
        numbers[by_class] = np.arange(len(order)) - firsts
        order = order[numbers < shots]
    return part.at(np.sort(order[:subset]))


def by_value(parts: Parts, column: str) -> dict[str, dict[str, Chosen]]:
    """Returns the rows of every value of a column, sorted by value.

    Raises:
        InputError: a row has no such value, or several.
    """
    keys: dict[str, list[Any]] = {role: part.values(column) for role, part in parts.items()}
    for role, part in parts.items():
        for number, key in enumerate(keys[role]):
            if key is None or key == "" or isinstance(key, list | dict):
                raise InputError(
                    f"{part.place(number)}: cut.column '{column}' must hold one value, got {key!r}."
                )
    names = next(iter(parts.values())).table.class_names(column)
    values = sorted({key for those in keys.values() for key in those}, key=_number_or_text)
    return {
        _text(value, names): {
            role: part.at(np.array([key == value for key in keys[role]], bool))
            for role, part in parts.items()
        }
        for value in values
    }


def _number_or_text(value: Any) -> tuple[float, str]:
    return (value, "") if isinstance(value, int | float) else (0.0, str(value))
