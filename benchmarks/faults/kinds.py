"""The kinds of faults, and when they come."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from faults.machines import Driver, Machines, children, processes, raylet_of, send, title

VICTIMS = {
    "worker": ("ray::RayTrainWorker",),
    "controller": ("ray::TrainController",),
    # By its class while it waits for a task, by the task's while it does one.
    "trial": ("ray::ResourceTrainable", "ray::OrderTrial"),
    "coordinator": ("ray::Coordinator",),
}
"""How processes begin that are killed alone."""
SIGNALS = {
    "driver": signal.SIGKILL,
    "driver SIGTERM": signal.SIGTERM,
    "driver SIGINT": signal.SIGINT,
}
KINDS = (
    *VICTIMS,
    "raylet",
    "node",
    "frozen node",
    *SIGNALS,
    "stopped worker",
    "stopped worker, long",
    "full disk",
)
"""All that can happen."""
SHORT, LONG = (2.0, 8.0), (34.0, 44.0)
"""Seconds for which a worker is stopped; a lane's lease is 30 s."""
FROZEN = (30.0, 60.0)
"""Seconds for which all of a node is stopped; Ray takes it for dead after 15 to 30 s."""
REPLACED = (3.0, 12.0)
"""Seconds until a lost node is replaced."""
FULL = 240.0
"""Seconds for which the disk is full at most; shorter if the driver has noticed."""


@dataclass
class Fault:
    """What happened."""

    kind: str
    at: float
    """Seconds since the epoch."""
    alive: set[int]
    """The processes that were at work just before."""
    since_start: float
    """Seconds since the driver was started, or started again."""
    until: float = 0.0
    """When it was over, if that was not at once."""
    lost: float = 0.0
    """Seconds of work on stages that were begun again."""
    recovered: list[float] = field(default_factory=list)
    """Seconds until these stages were at work again."""


@dataclass(frozen=True)
class Planned:
    """A fault that is to happen."""

    kind: str
    is_soon: bool
    """Whether it comes soon after the fault before it, or the driver's last start, whatever there
    is by then; if not, it waits until a stage has been begun since."""
    delay: float
    """Seconds after that."""


def schedule(faults: int, seed: int, kinds: Sequence[str] = KINDS) -> list[Planned]:
    """Returns what is to happen: every kind once before any comes again, every third soon."""
    rng = random.Random(seed)
    found: list[Planned] = []
    while len(found) < faults:
        for kind in rng.sample(kinds, len(kinds)):
            is_soon = rng.random() < 1 / 3
            found.append(Planned(kind, is_soon, rng.uniform(0, 3 if is_soon else 6)))
    return found[:faults]


class Mischief:
    """Makes faults happen, and ends those that last."""

    def __init__(self, machines: Machines, disk: Path, seed: int) -> None:
        self._machines = machines
        self._disk = disk
        self._rng = random.Random(seed)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._touched: list[Any] = []
        """Nodes that are about to be replaced."""
        self.is_full = False
        self.is_ended = False
        """Whether the driver was told to end, or killed."""

    def do(self, fault: Fault, driver: Driver) -> bool:
        """Makes a fault happen; returns False if there is nothing yet that it could happen to."""
        kind = fault.kind
        if kind in VICTIMS:
            return self._each(self._one(kind), signal.SIGKILL)
        if kind in SIGNALS:
            self.is_ended = True
            return self._each(psutil.Process(driver.process.pid), SIGNALS[kind])
        if kind.startswith("stopped worker"):
            return self._stop(self._one("worker"), LONG if kind.endswith("long") else SHORT)
        if kind == "full disk":
            return self._fill()
        nodes = [node for node in self._machines.workers() if node not in self._touched]
        if not nodes:
            return False
        node = self._rng.choice(nodes)
        self._touched.append(node)
        if kind == "frozen node":
            self._freeze(node, fault)
            return True
        self._after(REPLACED, lambda: self._replace(node, fault))
        hit = processes(node) if kind == "node" else [psutil.Process(raylet_of(node))]
        send(hit, signal.SIGKILL)
        return True

    def _each(self, process: psutil.Process | None, number: signal.Signals) -> bool:
        if process is None:
            return False
        send([process], number)
        return True

    def _one(self, victim: str) -> psutil.Process | None:
        family = children(psutil.Process())
        found = [one for one in family if title(one).startswith(VICTIMS[victim])]
        return self._rng.choice(found) if found else None

    def _stop(self, worker: psutil.Process | None, seconds: tuple[float, float]) -> bool:
        if worker is None:
            return False
        send([worker], signal.SIGSTOP)
        self._after(seconds, lambda: send([worker], signal.SIGCONT))
        return True

    def _freeze(self, node: Any, fault: Fault) -> None:
        frozen = processes(node)
        send(frozen, signal.SIGSTOP)

        def thaw() -> None:
            send(frozen, signal.SIGCONT)
            self._after(REPLACED, lambda: self._replace(node, fault))

        self._after(FROZEN, thaw)

    def _replace(self, node: Any, fault: Fault) -> None:
        fault.until = time.time()  # what it has begun since it was let go on ends here
        self._machines.remove(node)
        self._touched.remove(node)
        self._machines.add()

    def _fill(self) -> bool:
        self.is_full = True
        with (self._disk / "held").open("wb", buffering=0) as held:
            size = 2**20
            while size >= 512:
                try:
                    held.write(os.urandom(size))
                except OSError:
                    size //= 2
        self._after((FULL, FULL), self.free)
        return True

    def free(self) -> None:
        """Gives the disk its room again."""
        (self._disk / "held").unlink(missing_ok=True)
        self.is_full = False

    def _after(self, seconds: tuple[float, float], what: Callable[[], None]) -> None:
        self._later.append((time.time() + self._rng.uniform(*seconds), what))

    def tend(self) -> None:
        """Ends what is due to end."""
        now = time.time()
        due = [what for at, what in self._later if at <= now]
        self._later = [(at, what) for at, what in self._later if at > now]
        for what in due:
            what()

    def mend(self) -> None:
        """Ends everything that lasts."""
        while self._later:
            self._later = [(0.0, what) for _, what in self._later]
            self.tend()
