"""Decides which lane computes which unit next: claims, retries, failures. Plain Python, no Ray.

The scheduler holds nothing that cannot be rebuilt from the store: a unit is done when its record is
there. Everything else (claims, failed attempts) may be lost without losing work.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sweep.plan.ready_units import ReadyUnits
from sweep.plan.units import Unit, UnitGraph

MAX_LOSSES = 5
"""How often a unit's lane may be lost before the unit is given up: it probably kills its worker."""
MAX_VANISHED = 50
"""How often its machine may vanish. Spot machines do so through no fault of the unit; but one that
takes down its machine must not go on for ever."""


@dataclass(frozen=True)
class Loss:
    """How a lane was lost that was computing a unit."""

    why: str
    is_machines: bool = False
    """Whether the machine is to blame, not the unit."""


CRASH = Loss("its worker died (out of memory?)")
"""That nothing else is known of."""


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
    is_state_needed: bool
    """Whether the state has to be stored: for other units, or because the study says so."""
    is_trained: bool = False
    """Whether its state is in the store, so that it only has to be evaluated."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Units from whose states it is computed."""
        return (self.unit.key,) if self.is_trained else self.unit.parents


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
        self._claims: dict[str, _Claim] = {}
        self._seen: dict[str, float] = {}
        self._errors: dict[str, int] = {}
        self._losses: dict[str, Counter[Loss]] = {}
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
        self._waiting = Counter(
            parent for key in self.todo if self._lacks_state(key) for parent in units[key].parents
        )
        """How many units are left to do that start from a unit's state."""
        self._ready = ReadyUnits(units)
        self._ready.update(key for key in self.todo if self._parents_done(key))

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
    def ready(self) -> int:
        """How many units could be begun now."""
        return sum(1 for _ in self._ready)

    @property
    def is_settled(self) -> bool:
        """Whether every unit is done or has failed for good."""
        return len(self.failed) == len(self.todo)

    def can_use(self, lanes: int) -> bool:
        """Returns whether so many lanes may have work at a time, now or later.

        Chains of units that are left run side by side: there are no more of them than have begun
        or could begin now, or than will end, whichever are more.
        """
        begin = end = 0
        for key in self.todo:
            if max(begin, end) >= lanes:
                break
            if key not in self.failed:
                begin += self._parents_done(key)
                end += key in self._trained or not any(map(self._waits, self.graph.children[key]))
        return max(begin, end) >= lanes

    def _waits(self, key: str) -> bool:
        return self._lacks_state(key) and key not in self.failed

    def claim(
        self, lane: str, held: Collection[str], method: tuple[str, str] | None, now: float
    ) -> Assignment | None:
        """Returns the next unit for a lane, or None if nothing is ready.

        A lane that asks loses any claim that it had before. Earlier replicates come first; within
        a replicate, units of the backbone and method that the lane has loaded (loading another one
        takes longer than loading a state), then units whose parents' states it has in memory, then
        units in the plan's order.
        """
        claimed = self.claim_several(lane, held, method, now, 1)
        return claimed[0] if claimed else None

    def claim_several(
        self,
        lane: str,
        held: Collection[str],
        method: tuple[str, str] | None,
        now: float,
        most: int,
    ) -> list[Assignment]:
        """Returns the next unit for a lane, and others like it that can be stored together.

        These are combinations of one method, in the plan's order: they are short, and none starts
        from another. One that a lane was lost with comes alone, since it may be what ended it.

        Args:
            lane: Its name.
            held: Units whose states it has in memory.
            method: Backbone and method that it has loaded.
            now: The time.
            most: Most units.
        """
        self._seen[lane] = now
        self.lose(lane, CRASH)
        if not self._ready:
            return []
        first = self._ready.next(held, method)
        several = [first]
        if self.graph.units[first].kind == "combine" and first not in self._losses:
            others = self._ready.after(first, most - 1)
            several += [key for key in others if self._may_join(key)]
        for key in several:
            self._ready.discard(key)
            self._claims[key] = _Claim(lane, now)
        return [self._assignment(key) for key in several]

    def _may_join(self, key: str) -> bool:
        return self.graph.units[key].kind == "combine" and key not in self._losses

    def _assignment(self, key: str) -> Assignment:
        return Assignment(self.graph.units[key], self._keeps_state(key), key in self._trained)

    def release(self, lane: str, keys: Iterable[str]) -> None:
        """Takes back units that a lane has claimed and not begun."""
        for key in keys:
            if key in self._claims and self._claims[key].lane == lane:
                del self._claims[key]
                self._ready.add(key)

    def _keeps_state(self, key: str) -> bool:
        unit, keep = self.graph.units[key], self.graph.keep_states
        if unit.kind not in ("load", "train"):
            return False
        if self._waiting[key]:
            return True
        # What was loaded can be loaded again, so nothing is lost with it.
        is_leaf = keep == "leaves" and key in self.graph.leaves
        return unit.kind == "train" and (keep == "all" or is_leaf)

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
        if key is not None and key in self._ready:
            self._ready.discard(key)
            self._claims[key] = _Claim(lane, now)

    def expire(self, now: float, how: Callable[[str], Loss] = lambda lane: CRASH) -> None:
        """Releases the claims of lanes that were silent for longer than a lease.

        Args:
            now: The time.
            how: Returns how a lane was lost.
        """
        for lane in {claim.lane for claim in self._claims.values()}:
            if now - self._seen.get(lane, 0.0) > self.lease:
                self.lose(lane, how(lane))

    def lose(self, lane: str, loss: Loss) -> None:
        """Takes back what a lane has claimed that was lost."""
        for key in [key for key, claim in self._claims.items() if claim.lane == lane]:
            del self._claims[key]
            losses = self._losses.setdefault(key, Counter())
            losses[loss] += 1
            vanished = sum(n for one, n in losses.items() if one.is_machines)
            if losses.total() - vanished >= MAX_LOSSES or vanished >= MAX_VANISHED:
                self.give_up(key, "; ".join(f"{one.why} {n} times" for one, n in losses.items()))
            else:
                self._ready.add(key)

    def finish(self, key: str) -> list[str]:
        """Takes note of a stored unit; returns the units whose states are no longer needed."""
        if key not in self.todo:  # a lane that was taken for dead, or the study has stopped
            return [] if self._keeps_state(key) else [key]
        self._claims.pop(key, None)
        self._ready.discard(key)
        self.failed.pop(key, None)
        self._leave(key)
        self.done[key] = None
        self._ready.update(
            child
            for child in self.graph.children[key]
            if self._lacks_state(child)
            and self._parents_done(child)
            and child not in self._claims
            and child not in self.failed
            and child not in self._ready
        )
        used = [*self.graph.units[key].parents, *([key] if key in self._trained else [])]
        return [other for other in used if not self._keeps_state(other)]

    def _leave(self, key: str) -> None:
        """Takes a unit from those that are left to do."""
        if self._lacks_state(key):
            self._waiting.subtract(self.graph.units[key].parents)
        self.todo.discard(key)

    def fail(self, lane: str, key: str, error: str, final: bool) -> None:
        """Takes note of a failed attempt; `final` if trying again is pointless."""
        if key not in self._claims or self._claims[key].lane != lane:
            return
        del self._claims[key]
        self._errors[key] = self._errors.get(key, 0) + 1
        if final or self._errors[key] > self.graph.retries:
            self.give_up(key, error)
        else:
            self._ready.add(key)

    def renewed(self, finished: Mapping[str, Kept], now: float, without: str) -> "Scheduler":
        """Returns a scheduler that knows what this one does, but begins from another store.

        Args:
            finished: Keys of stages in the store now, and what it has of each.
            now: The time.
            without: A lane whose claims are not taken over.
        """
        new = Scheduler(self.graph, finished, self.lease)
        new.restored = self.restored
        new._errors, new._losses, new._seen = self._errors, self._losses, self._seen
        for key, claim in self._claims.items():
            if claim.lane != without:
                new.alive(claim.lane, key, now)
        for key, error in self.failed.items():
            if key in new.todo:
                new.failed[key] = error
                new._ready.discard(key)
        return new

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
            self._leave(key)
            self._ready.discard(key)
            self._claims.pop(key, None)
            self.failed.pop(key, None)
        return [key for key in self.done if key in late and not self._keeps_state(key)]

    def give_up(self, key: str, error: str) -> None:
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
    def in_hand(self) -> dict[str, str]:
        """Lanes at work, each with the first of the units that it has claimed."""
        return {claim.lane: key for key, claim in reversed(self._claims.items())}

    @property
    def claimed(self) -> dict[str, str]:
        """Units being worked on, with their lanes."""
        return {key: claim.lane for key, claim in self._claims.items()}
