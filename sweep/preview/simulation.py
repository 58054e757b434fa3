"""Simulates lanes that work through a study with the engine's own scheduler; imports little."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from sweep.plan.scheduler import Scheduler
from sweep.plan.units import Unit


@dataclass(frozen=True)
class Simulated:
    """What became of a simulated study."""

    seconds: float
    """From the first stage to the last."""
    busy_seconds: float
    """What all lanes together spent on stages."""
    peak_state_bytes: int
    """Largest disk space that all states took at any one time."""


def simulate(
    scheduler: Scheduler,
    lanes: int,
    seconds: Callable[[Unit, bool], float],
    state_bytes: Callable[[Unit], int] = lambda unit: 0,
) -> Simulated:
    """Lets lanes work until nothing is left to do.

    Args:
        scheduler: Knows what is left to do; it is used up.
        lanes: Their number.
        seconds: Returns the time of a unit; the second argument says whether it only has to be
            evaluated.
        state_bytes: Returns the size of the state of a unit.
    """
    waiting = [f"lane-{i}" for i in range(lanes)]
    loaded: dict[str, tuple[str, str] | None] = dict.fromkeys(waiting)
    held: dict[str, tuple[str, ...]] = dict.fromkeys(waiting, ())
    working: list[tuple[float, str, str]] = []
    stored: dict[str, int] = {}
    now, busy, peak = 0.0, 0.0, 0
    while True:
        for lane in list(waiting):
            assignment = scheduler.claim(lane, held[lane], loaded[lane], now)
            if assignment:
                unit = assignment.unit
                waiting.remove(lane)
                loaded[lane] = (unit.backbone, unit.method)
                held[lane] = (*assignment.needed, unit.key)
                spent = seconds(unit, assignment.is_trained)
                busy += spent
                heapq.heappush(working, (now + spent, unit.key, lane))
                if assignment.is_state_needed:
                    stored[unit.key] = state_bytes(unit)
        if not working:
            return Simulated(now, busy, peak)
        now, key, lane = heapq.heappop(working)
        peak = max(peak, sum(stored.values()))
        waiting.append(lane)
        for dropped in scheduler.finish(key):
            stored.pop(dropped, None)
