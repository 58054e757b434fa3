"""Defines a study's pieces of work and how they depend on each other; imports little."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from sweep.orders.order import Order

UnitKind = Literal["start", "load", "train", "combine"]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One distinct piece of work."""

    key: str
    """A hash of everything that its state depends on."""
    kind: UnitKind
    """start: evaluate the untouched backbone; load: load the expert of a task; train: train a task,
    then evaluate if `is_evaluated`; combine: combine loaded or trained states, then evaluate."""
    backbone: str
    method: str
    """The method's label; "" for a start unit, which all methods share."""
    replicate: int
    seed: int
    prefix: Order
    """The tasks that were learnt, in order; sorted where only their set matters."""
    parents: tuple[str, ...]
    """Units whose states it starts from."""
    evaluation: str
    """What its result is evaluated on, a key of `UnitGraph.evaluations`; "" for trainings that are
    only combined with others."""
    only: Order = ()
    """Tasks that it is evaluated on, if it is not everything."""

    @property
    def is_evaluated(self) -> bool:
        """Whether its result is evaluated."""
        return bool(self.evaluation)

    @property
    def title(self) -> str:
        """A description for people."""
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


class UnitGraph:
    """All units of a study, parents before children, and the runs that are made of them."""

    def __init__(
        self,
        units: dict[str, Unit],
        runs: list[Run],
        evaluations: dict[str, dict[str, str]],
        keep_states: Literal["all", "leaves", "none"],
        retries: int,
    ) -> None:
        self.units = units
        self.runs = runs
        self.evaluations = evaluations
        """What evaluations cover: fingerprints of all that is evaluated on, by name."""
        self.keep_states = keep_states
        self.retries = retries

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON knows it; runs name their stages by position in `units`."""
        number = {key: i for i, key in enumerate(self.units)}
        return {
            "keep_states": self.keep_states,
            "retries": self.retries,
            "evaluations": self.evaluations,
            "units": [asdict(unit) for unit in self.units.values()],
            "runs": [
                asdict(run) | {"stages": [number[key] for key in run.stages]} for run in self.runs
            ],
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "UnitGraph":
        """Returns the inverse of `as_dict`."""
        units = [
            Unit(
                **unit | {name: tuple(unit.get(name, ())) for name in ("prefix", "parents", "only")}
            )
            for unit in facts["units"]
        ]
        runs = [
            Run(
                **run
                | {
                    "order": tuple(run["order"]),
                    "stages": tuple(units[i].key for i in run["stages"]),
                }
            )
            for run in facts["runs"]
        ]
        return UnitGraph(
            {unit.key: unit for unit in units},
            runs,
            facts["evaluations"],
            facts["keep_states"],
            facts["retries"],
        )

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

    def complete_replicates(self, finished: Collection[str], replicates: int) -> int:
        """Returns how many replicates, counted from the first, have nothing left to do.

        Args:
            finished: Keys of units that are done or given up.
            replicates: Number of replicates of the study.
        """
        waiting = (unit.replicate for key, unit in self.units.items() if key not in finished)
        return min(waiting, default=replicates)
