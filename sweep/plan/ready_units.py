"""Keeps the units that are ready in order, so that the next of a hundred thousand is soon found."""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

from sweep.plan.units import Unit

LOOKED_AT = 1000
"""Units that are looked at for one whose parents' states are in memory: more than are ever ready
between a trained unit and those that start from it."""
Group = tuple[int, str, str]
"""Replicate, backbone and method."""


class ReadyUnits:
    """The units that could be computed now, by group in the plan's order."""

    def __init__(self, units: Mapping[str, Unit]) -> None:
        self._units = units
        self._keys = list(units)
        self._index = {key: i for i, key in enumerate(units)}
        self._groups: dict[Group, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __contains__(self, key: str) -> bool:
        group, index = self._groups.get(self._group(key), []), self._index[key]
        place = bisect_left(group, index)
        return place < len(group) and group[place] == index

    def __iter__(self) -> Iterator[str]:
        return (self._keys[i] for group in self._groups.values() for i in group)

    def _group(self, key: str) -> Group:
        unit = self._units[key]
        return unit.replicate, unit.backbone, unit.method

    def add(self, key: str) -> None:
        """Takes a unit in, if it is not there."""
        if key not in self:
            insort(self._groups.setdefault(self._group(key), []), self._index[key])

    def update(self, keys: Iterable[str]) -> None:
        """Takes units in that are not there."""
        touched = set()
        for key in keys:
            group = self._group(key)
            self._groups.setdefault(group, []).append(self._index[key])
            touched.add(group)
        for group in touched:
            self._groups[group].sort()

    def discard(self, key: str) -> None:
        """Leaves a unit out, if it is there."""
        if key in self:
            name = self._group(key)
            group = self._groups[name]
            del group[bisect_left(group, self._index[key])]
            if not group:
                del self._groups[name]

    def clear(self) -> None:
        """Leaves all units out."""
        self._groups.clear()

    def next(self, held: Collection[str], loaded: tuple[str, str] | None) -> str:
        """Returns the unit that a lane should compute next, see `Scheduler.claim`.

        Args:
            held: Units whose states the lane has in memory.
            loaded: Backbone and method that it has in memory.
        """
        first = min(replicate for replicate, *_ in self._groups)
        groups = {name[1:]: group for name, group in self._groups.items() if name[0] == first}
        if loaded in groups:
            groups = {loaded: groups[loaded]}

        def best(group: list[int]) -> tuple[bool, int]:
            for index in islice(group, LOOKED_AT):
                parents = self._units[self._keys[index]].parents
                if parents and all(parent in held for parent in parents):
                    return False, index
            return True, group[0]

        return self._keys[min(map(best, groups.values()))[1]]

    def after(self, key: str, most: int) -> list[str]:
        """Returns the units of a unit's group that follow it, at most so many."""
        group = self._groups.get(self._group(key), [])
        place = bisect_left(group, self._index[key] + 1)
        return [self._keys[i] for i in group[place : place + most]]
