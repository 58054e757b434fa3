"""Decides which lane computes which unit next: claims, retries, failures. Plain Python, no Ray.

The scheduler holds nothing that cannot be rebuilt from the store: a unit is done when its record is
there. Everything else (claims, failed attempts) may be lost without losing work.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sweep.plan.units import Unit, UnitGraph

MAX_LOSSES = 5
"""How often a unit's lane may vanish before the unit is given up. Spot machines vanish through no
fault of the unit, but a unit that is lost this often probably kills its worker."""


@dataclass(frozen=True)
class Kept:
    """What the store has of a finished stage besides its record."""

    has_state: bool = False
    """Whether there is a state; it may have been deleted, or never existed."""
    has_scores: bool = True
    """Whether it was evaluated on all that it has to be evaluated on."""


@dataclass(frozen=True)
class Assignment:
    """A unit for a lane to compute."""

    unit: Unit
    ancestors: tuple[str, ...]
    """Units whose states the lane should keep in memory: all ancestors of this one."""
    is_state_needed: bool
    """Whether the state has to be stored: for other units, or because the study says so."""
    is_trained: bool = False
    """Whether its state is in the store, so that it only has to be evaluated."""


def starts_from(title: str, error: str) -> str:
    """Returns why a unit fails that starts from another one, which failed with an error."""
    return f"starts from '{title}', which failed: {error}"


@dataclass
class _Claim:
    lane: str
    since: float


@dataclass
class Scheduler:
    """Hands every unit to one lane at a time until it is done or has failed for good."""

    graph: UnitGraph
    finished: Mapping[str, Kept]
    """Keys of stages in the store, and what it has of each."""
    lease: float
    """Seconds without a heartbeat after which a lane loses its claim."""
    done: dict[str, None] = field(default_factory=dict)
    """Finished units in the order in which they became known."""
    failed: dict[str, str] = field(default_factory=dict)
    """Errors of units that have been given up."""

    def __post_init__(self) -> None:
        units, children = self.graph.units, self.graph.children
        self._index = {key: i for i, key in enumerate(units)}
        self._claims: dict[str, _Claim] = {}
        self._seen: dict[str, float] = {}
        self._errors: dict[str, int] = {}
        self._losses: dict[str, int] = {}
        # A finished unit is computed again if its state was deleted and a later unit now needs it,
        # or if it was not evaluated on all that it now has to be.
        self.todo: set[str] = set()
        """Units that are wanted and not done, failed ones included."""
        self._trained: set[str] = set()
        """Those of them that have a state, and only have to be evaluated."""
        for key in reversed(units):
            needed = any(self._lacks_state(child) for child in children[key])
            kept, shown = self.finished.get(key), units[key].is_evaluated
            if not (kept and (kept.has_state or not needed) and (kept.has_scores or not shown)):
                self.todo.add(key)
                if kept and kept.has_state and units[key].kind == "train":
                    self._trained.add(key)
        self.done |= dict.fromkeys(key for key in units if key not in self.todo)
        self.restored = len(self.done)
        self._ready = {key for key in self.todo if self._parents_done(key)}

    def _parents_done(self, key: str) -> bool:
        """Returns whether the states that a unit starts from are there."""
        parents = self.graph.units[key].parents
        return key in self._trained or not any(self._lacks_state(parent) for parent in parents)

    def _lacks_state(self, key: str) -> bool:
        """Returns whether a unit is left to do from its parents' states."""
        return key in self.todo and key not in self._trained

    @property
    def to_compute(self) -> set[str]:
        """The units left to do that are not only evaluated."""
        return self.todo - self._trained

    @property
    def is_settled(self) -> bool:
        """Whether every unit is done or has failed for good."""
        return len(self.failed) == len(self.todo)

    def claim(
        self, lane: str, held: Collection[str], method: tuple[str, str] | None, now: float
    ) -> Assignment | None:
        """Returns the next unit for a lane, or None if nothing is ready.

        A lane that asks loses any claim that it had before. Earlier replicates come first; within
        a replicate, units of the backbone and method that the lane has loaded (loading another one
        takes longer than loading a state), then units whose parents' states it has in memory, then
        units in the plan's order.
        """
        self._give_back(lane, now)
        if not self._ready:
            return None
        units = self.graph.units

        def cost(key: str) -> tuple[int, bool, bool, int]:
            unit = units[key]
            loaded = (unit.backbone, unit.method) == method
            inherits = bool(unit.parents) and all(parent in held for parent in unit.parents)
            return unit.replicate, not loaded, not inherits, self._index[key]

        key = min(self._ready, key=cost)
        self._ready.discard(key)
        self._claims[key] = _Claim(lane, now)
        ancestors = () if key in self._trained else self._ancestors(key)
        return Assignment(units[key], ancestors, self._keeps_state(key), key in self._trained)

    def _ancestors(self, key: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        queue = list(self.graph.units[key].parents)
        while queue:
            parent = queue.pop()
            found[parent] = None
            queue += self.graph.units[parent].parents
        return tuple(found)

    def _keeps_state(self, key: str) -> bool:
        unit, keep = self.graph.units[key], self.graph.keep_states
        if unit.kind != "train":
            return False
        leaf = keep != "none" and key in self.graph.leaves
        return keep == "all" or leaf or any(map(self._lacks_state, self.graph.children[key]))

    def superfluous(self) -> list[str]:
        """Returns finished units with states that are not needed, left by a process that died."""
        return [
            key
            for key, kept in self.finished.items()
            if kept.has_state and key in self.done and not self._keeps_state(key)
        ]

    def alive(self, lane: str, key: str | None, now: float) -> None:
        """Takes note that a lane is alive and works on `key`, even if its claim was forgotten."""
        self._seen[lane] = now
        if key in self._ready:
            self._ready.discard(key)
            self._claims[key] = _Claim(lane, now)

    def expire(self, now: float) -> None:
        """Releases the claims of lanes that were silent for longer than a lease."""
        for lane in {claim.lane for claim in self._claims.values()}:
            if now - self._seen.get(lane, 0.0) > self.lease:
                self._give_back(lane, now, alive=False)

    def _give_back(self, lane: str, now: float, alive: bool = True) -> None:
        if alive:
            self._seen[lane] = now
        for key in [key for key, claim in self._claims.items() if claim.lane == lane]:
            del self._claims[key]
            self._losses[key] = self._losses.get(key, 0) + 1
            if self._losses[key] >= MAX_LOSSES:
                self._give_up(key, f"its worker died {MAX_LOSSES} times (out of memory?)")
            else:
                self._ready.add(key)

    def finish(self, key: str) -> list[str]:
        """Takes note of a stored unit; returns the units whose states are no longer needed."""
        if key not in self.todo:  # a lane that was taken for dead, or the study has stopped
            return [] if self._keeps_state(key) else [key]
        self._claims.pop(key, None)
        self._ready.discard(key)
        self.failed.pop(key, None)
        self.todo.discard(key)
        self.done[key] = None
        children = self.graph.children[key]
        self._ready |= (
            {child for child in children if self._lacks_state(child) and self._parents_done(child)}
            - set(self._claims)
            - set(self.failed)
        )
        used = [*self.graph.units[key].parents, *([key] if key in self._trained else [])]
        return [other for other in used if not self._keeps_state(other)]

    def fail(self, lane: str, key: str, error: str, final: bool) -> None:
        """Takes note of a failed attempt; `final` if trying again is pointless."""
        if key not in self._claims or self._claims[key].lane != lane:
            return
        del self._claims[key]
        self._errors[key] = self._errors.get(key, 0) + 1
        if final or self._errors[key] > self.graph.retries:
            self._give_up(key, error)
        else:
            self._ready.add(key)

    def abort(self, error: str) -> None:
        """Gives everything up that is left."""
        self._claims.clear()
        self._ready.clear()
        for key in self.todo:
            self.failed.setdefault(key, error)

    def stop_after(self, replicates: int) -> list[str]:
        """Leaves out later replicates: what is left of them is neither done nor failed.

        Lanes that are computing some of them do so in vain.

        Returns:
            Units whose states are no longer needed.
        """
        late = {key for key, unit in self.graph.units.items() if unit.replicate >= replicates}
        for key in late & self.todo:
            self.todo.discard(key)
            self._ready.discard(key)
            self._claims.pop(key, None)
            self.failed.pop(key, None)
        return [key for key in self.done if key in late and not self._keeps_state(key)]

    def _give_up(self, key: str, error: str) -> None:
        """Records a failure, and that of all units that start from it."""
        self._ready.discard(key)
        self.failed[key] = error
        title = self.graph.units[key].title
        for child in self._descendants(key):
            self.failed.setdefault(child, starts_from(title, error))

    def _descendants(self, key: str) -> Iterable[str]:
        """Yields the units left to do that cannot be done without `key`."""
        queue = [key] if key not in self._trained else []
        while queue:
            children = [c for c in self.graph.children[queue.pop()] if self._lacks_state(c)]
            yield from children
            queue += children

    @property
    def claimed(self) -> dict[str, str]:
        """Units being worked on, with their lanes."""
        return {key: claim.lane for key, claim in self._claims.items()}
