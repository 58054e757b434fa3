"""Decides which machines lanes are no longer started on, and why.

A machine is left out once a worker finds that it lacks what the study was planned with, or after
several lanes in a row have ended there before they were ready to work.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ray.util.placement_group import PlacementGroup

from sweep.engine import placement
from sweep.engine.contract import Fault, LaneLimits
from sweep.texts import plural

FAILED_STARTS = 3
"""How often in a row lanes may end on a machine before they are ready, if there is another one;
so often for each lane that it holds."""
LAST_FAILED_STARTS = 6
"""How often on the last machine. Without it the study ends, and what ended the lanes may have been
something else, such as a person."""

DIED = "their processes died (a broken driver or device, or out of memory?)"
"""Why workers did not start that said nothing."""


@dataclass(frozen=True)
class UnfitMachine:
    """A machine that is left out."""

    title: str
    """Its address and name; "" if the cluster has no other."""
    why: str

    @property
    def sentence(self) -> str:
        """What the user is told of it; "" if the study ends with it, for the same reason."""
        return f"machine {self.title} is left out: {self.why}" if self.title else ""


class UnfitMachines:
    """The machines that are left out."""

    def __init__(self, limits: LaneLimits) -> None:
        self.machines: dict[str, UnfitMachine] = {}
        """By their Ray ids, in the order in which they were left out."""
        self._limits = limits
        self._ended: set[str] | None = None
        """Placement groups of lanes that have ended; None: it has not looked yet."""
        self._ready: set[str] = set()
        """Placement groups whose workers were ready to work."""
        self._failed_starts = Counter[str]()
        """Of each machine, since a lane there was ready."""
        self._faults: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """Why workers were not ready, by placement group and machine."""

    @property
    def sentences(self) -> list[str]:
        """What the user is told."""
        return [machine.sentence for machine in self.machines.values() if machine.sentence]

    def leave(self, machine: str, why: str) -> None:
        """Leaves a machine out from now on."""
        title = "" if placement.is_alone() else placement.title_of(machine)
        self.machines.setdefault(machine, UnfitMachine(title, why))

    def recall(self, machines: Mapping[str, UnfitMachine]) -> None:
        """Leaves machines out that were left out before the coordinator restarted."""
        self.machines = {**machines, **self.machines}

    def accuse(self, fault: Fault) -> None:
        """Takes note of why a worker is not ready; the next one on its machine may be."""
        self._faults[fault.room.id.hex()][fault.machine] = fault.why

    def ready(self, room: PlacementGroup) -> None:
        """Takes note that all workers of a lane are ready to work."""
        if room.id.hex() not in self._ready:
            self._ready.add(room.id.hex())
            for machine in placement.machines(room):
                del self._failed_starts[machine]

    def look(self, freed: Iterable[str], last_error: str) -> None:
        """Counts the lanes that have ended before they were ready.

        Args:
            freed: Placement groups that were freed because their makers had died, for which no
                machine is to blame.
            last_error: What ended a lane's Train job last; "" if none has ended.
        """
        ended = placement.ended()
        if self._ended is None:  # nobody knows any more which of them were ready
            self._ended = set(ended)
        self._ended |= set(freed)
        for room in ended.keys() - self._ended:
            self._ended.add(room)
            faults = self._faults.pop(room, {})
            if room in self._ready or placement.vanished(ended[room]):
                continue
            crashed = placement.crashed(room)
            unsaid = DIED if crashed else last_error or "why is not known"
            for machine in faults or crashed or ended[room]:
                self._count(machine, faults.get(machine, unsaid))

    def _count(self, machine: str, why: str) -> None:
        self._failed_starts[machine] += 1
        times = self._failed_starts[machine]
        most = FAILED_STARTS if self.has_others(machine) else LAST_FAILED_STARTS
        lanes = placement.room_on(self._limits).get(machine, 0) // self._limits.workers
        if times >= most * max(1, min(lanes, self._limits.count)):
            self.leave(machine, f"workers did not start there {times} times in a row: {why}")

    def has_others(self, machine: str) -> bool:
        """Returns whether the machines that are there can hold a lane without this one."""
        return self._room(without=machine) >= self._limits.workers

    def why_none_is_left(self) -> str:
        """Returns why the machines that are there cannot hold a lane; "" if they can.

        Also "" if those that are left out are gone: a cluster that ends machines starts others.
        """
        there = placement.room_on(self._limits)
        if not there.keys() & self.machines or self._room() >= self._limits.workers:
            return ""
        last = list(self.machines.values())[-1]
        if not last.title:
            return last.why
        return (
            f"what is left of the cluster cannot hold a lane, without "
            f"{plural(len(self.machines), 'machine')} left out, the last of them {last.title}: "
            f"{last.why}"
        )

    def _room(self, without: str = "") -> int:
        """Returns how many workers the machines can hold that are not left out."""
        room = placement.room_on(self._limits)
        return sum(n for one, n in room.items() if one not in self.machines and one != without)
