"""The pieces of work of a study and how they hang together; light enough for every process."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Order = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One distinct piece of work."""

    key: str
    """A hash of everything its result depends on."""
    kind: Literal["start", "train", "combine"]
    """start: evaluate the untouched backbone; train: train a task and, unless its method depends
    on the task alone, evaluate; combine: evaluate a combination of trained experts."""
    backbone: str
    method: str
    """The method's label; "" for a start unit, which belongs to all of them."""
    replicate: int
    seed: int
    prefix: Order
    """The tasks behind it, in order of learning; sorted where only the set counts."""
    parents: tuple[str, ...]
    """Units whose states it starts from."""
    evaluates: bool = True

    @property
    def title(self) -> str:
        """For people: what is being done."""
        return f"{self.method}: {' > '.join(self.prefix)}" if self.method else "untouched backbone"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One order with one method, backbone and replicate."""

    backbone: str
    method: str
    replicate: int
    seed: int
    order: Order
    stages: tuple[str, ...]
    """Unit keys of stages 0..T."""

    @property
    def prefixes(self) -> list[Order]:
        """The prefixes of stages 0..T."""
        return [self.order[:k] for k in range(len(self.order) + 1)]


class Work:
    """All units of a study, parents before children, and the runs that are made of them."""

    def __init__(
        self,
        units: dict[str, Unit],
        runs: list[Run],
        keep_states: Literal["all", "leaves", "none"],
        retries: int,
    ) -> None:
        self.units = units
        self.runs = runs
        self.keep_states = keep_states
        self.retries = retries

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The units that start from each unit's state."""
        children: dict[str, list[str]] = {key: [] for key in self.units}
        for unit in self.units.values():
            for parent in unit.parents:
                children[parent].append(unit.key)
        return children

    @cached_property
    def leaves(self) -> set[str]:
        """The units that some run ends with."""
        return {run.stages[-1] for run in self.runs}
