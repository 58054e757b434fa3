"""Runs the scheduler as a Ray actor: lanes ask it for work, trials ask it for results.

It may die at any time: Ray restarts it, and it reads from the store what has been done.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ray.util.placement_group import PlacementGroup, remove_placement_group

from sweep.engine.contract import Fault, LaneLimits, Sign, group_size
from sweep.engine.ended_jobs import free_of_ended_jobs
from sweep.engine.left_out import UnfitMachine, UnfitMachines
from sweep.engine.outcomes import Outcome, Progress
from sweep.engine.placement import (
    free_ownerless,
    is_alone,
    is_held,
    machines,
    vanished,
    why_none_starts,
)
from sweep.plan.scheduler import CRASH, Assignment, Loss, Scheduler
from sweep.plan.units import Run
from sweep.storage.folder import Folder
from sweep.storage.planned import read_plan
from sweep.storage.store import Record, Store
from sweep.texts import duration

LEASE = 30.0
"""Seconds of silence after which a lane's work goes to another lane."""
WAIT = 2.0
"""Seconds after which a call returns without an answer, and the caller has to repeat it."""
PATIENCE = 300.0
"""Seconds without a lane after which the user is told: a cloud takes minutes to start machines."""


@dataclass(frozen=True)
class _Heard:
    sign: Sign
    at: float
    moved: float
    """When the lane had last got something done."""


class Coordinator:
    """The actor. Its async methods that wait for something return within WAIT seconds."""

    def __init__(self, out: str, limits: LaneLimits) -> None:
        """Reads what is to be done and what has been done.

        Args:
            out: The run's folder or URI. It also holds the plan, which is too large to be an
                argument: Ray keeps large arguments in an object store that may lose them, and
                then could not restart the actor.
            limits: How many lanes there may be, and how long they may take to start.
        """
        _, self.graph = read_plan(Folder(out))
        self.store = Store(out, self.graph.evaluations)
        self.scheduler = Scheduler(self.graph, self.store.finished(self.graph.units), LEASE)
        self._lost = Counter[str]()
        for key in self.scheduler.superfluous():
            self.store.drop_state(key)
        self._records: dict[str, Record] = {}
        self._reports_stages = group_size(len(self.graph.runs)) == 1
        self._started: set[tuple[str, ...]] = set()
        self._limits = limits
        self._lanes: dict[str, float] = {}
        """Lanes that trials have, and when each of these trials last asked."""
        self._heard: dict[str, _Heard] = {}
        """What each lane last said."""
        self._freed: set[PlacementGroup] = set()
        """What lanes held that were ended; theirs may be a sign that was sent before."""
        self._left_out = UnfitMachines(limits)
        self._machines: dict[str, dict[str, str]] = {}
        """Addresses of the machines that each lane is on, by their Ray ids."""
        self._losses: list[str] = []
        self._longest = 0.0
        """Seconds of the longest stage so far."""
        self._alone_since = time.monotonic()
        """When a lane was last at work, or was not needed."""
        self._idle = self._last_error = ""
        self._dismissed: set[str] = set()
        self._stopped = ""
        self._replicates: int | None = None
        """Those that are left in, once the study has stopped."""
        self._news = asyncio.Condition()

    async def _wait_until(self, happened: Callable[[], bool]) -> bool:
        async with self._news:
            try:
                await asyncio.wait_for(self._news.wait_for(happened), WAIT)
            except TimeoutError:
                return False
            return True

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    def open_lane(self, lane: str) -> bool:
        """Returns whether a trial may have or keep a lane; one that stops asking loses it."""
        now = time.monotonic()
        self._lanes = {name: seen for name, seen in self._lanes.items() if now - seen < LEASE}
        wanted = len(self._lanes) + 1
        has_room = wanted <= self._limits.count
        if lane in self._lanes or (has_room and self.scheduler.can_use(wanted)):
            self._lanes[lane] = now
        return lane in self._lanes

    def _is_superfluous(self, lane: str) -> bool:
        """Returns whether other lanes can do all that is left; what this one holds is freed."""
        return not self.scheduler.can_use(len(self._lanes.keys() | {lane}))

    async def tend(self) -> None:
        """Frees what dead lanes have left, and ends a study in which no lane starts."""
        free_of_ended_jobs()
        self._left_out.look(free_ownerless(), self._last_error)
        now = time.monotonic()
        self._end_hanging(now)
        is_at_work = any(now - heard.at < LEASE for heard in self._heard.values())
        is_needed = not is_at_work and not self.scheduler.is_settled
        if not is_needed:
            self._alone_since = now
        alone, most = now - self._alone_since, self._limits.start_seconds
        self._idle = ""
        if alone > min(PATIENCE, most / 2):
            why = why_none_starts(self._limits, len(self._left_out.machines))
            error = f"; the last one ended with: {self._last_error}" if self._last_error else ""
            self._idle = f"no lane has started for {duration(alone)} because {why}{error}"
        # A cluster may grow, for which it takes some time.
        may_grow = not is_alone() and alone <= min(PATIENCE, most / 2)
        if is_needed and not may_grow and (why := self._left_out.why_none_is_left()):
            await self.abort(why)
        elif alone > most:
            await self.abort(self._idle)

    async def next(
        self, lane: str, held: list[str], loaded: tuple[str, str] | None, most: int = 1
    ) -> list[Assignment] | Literal["stop"] | None:
        """Returns work for a lane; None: ask again; "stop": there will be none for it."""
        claimed: list[Assignment] = []

        def found() -> bool:
            nonlocal claimed
            now = time.monotonic()
            self.scheduler.expire(now, self._loss_of)
            if self.scheduler.is_settled or lane in self._dismissed:
                return True
            claimed = self.scheduler.claim_several(lane, held, loaded, now, most)
            return bool(claimed) or self._is_superfluous(lane)

        if lane in self.scheduler.in_hand:  # its workers are new, and know nothing of it
            self.scheduler.lose(lane, self._loss_of(lane))
        if lane in self._heard:
            self._left_out.ready(self._heard[lane].sign.room)
        await self._wait_until(found)
        if claimed:
            return claimed
        if self.scheduler.is_settled or lane in self._dismissed or self._is_superfluous(lane):
            self._lanes.pop(lane, None)
            return "stop"
        return None

    def _end_hanging(self, now: float) -> None:
        """Ends the workers of lanes that get nothing done; Train then starts new ones."""
        most = self._limits.seconds_to_hang(self._longest)
        for lane, heard in list(self._heard.items()):
            if now - heard.moved <= most:
                continue
            del self._heard[lane]
            sign = heard.sign
            if not is_held(sign.room):  # it ended long ago
                continue
            remove_placement_group(sign.room)
            self._freed.add(sign.room)
            # It may have hung before its first sign that named the unit.
            key = self.scheduler.in_hand.get(lane, sign.key)
            what = f"'{self.graph.units[key].title}'" if key else "a lane between stages"
            place = f" (at {sign.place})" if sign.place else ""
            self._losses.append(
                f"{what} got nothing done for {duration(now - heard.moved)}{place}; its lane was "
                f"ended and starts anew"
            )
            self.scheduler.lose(lane, Loss(f"it got nothing done for {duration(most)}{place}"))

    def _loss_of(self, lane: str) -> Loss:
        """Returns how a lane was lost, as far as it is known, and notes it for the user."""
        places = self._machines.get(lane, {})
        gone = ", ".join(places[node] for node in vanished(places))
        loss = Loss("its machine vanished", is_machines=True) if gone else CRASH
        title = self.graph.units[self.scheduler.in_hand[lane]].title
        why = f"its machine {gone} vanished" if gone else loss.why
        self._losses.append(f"'{title}' was lost, {why}, and is begun again")
        return loss

    def alive(self, lane: str, sign: Sign) -> None:
        """Takes a lane's heartbeat."""
        if sign.room in self._freed:
            return
        now, before = time.monotonic(), self._heard.get(lane)
        self.scheduler.alive(lane, sign.key, now)
        is_same = before is not None and replace(before.sign, place="") == replace(sign, place="")
        if before is None or before.sign.room != sign.room:
            self._machines[lane] = machines(sign.room)
        self._heard[lane] = _Heard(sign, now, before.moved if before and is_same else now)

    async def leave_out(self, lane: str, fault: Fault, key: str | None = None) -> bool:
        """Starts no more lanes on a machine; returns whether this one may start elsewhere.

        Args:
            lane: The lane, which a worker on the machine ends.
            fault: What is the matter there.
            key: A unit that cannot be computed there, though others may be. If there is no other
                machine, nothing happens, and the lane has to say that the unit has failed.
        """
        if key and not self._left_out.has_others(fault.machine):
            return False
        self._left_out.accuse(fault)
        self._left_out.leave(fault.machine, fault.why)
        self._freed.add(fault.room)
        self._heard.pop(lane, None)
        self.scheduler.release(lane, [key] if key else [])
        await self.tend()
        await self._announce()
        return not self.scheduler.is_settled

    def accuse(self, fault: Fault) -> None:
        """Takes note of why a worker cannot start."""
        self._left_out.accuse(fault)

    def recall(self, machines: Mapping[str, UnfitMachine]) -> None:
        """Leaves machines out that were left out before a restart."""
        self._left_out.recall(machines)

    def left_out(self) -> list[str]:
        """Returns the Ray ids of the machines that lanes must not be started on now."""
        self._left_out.look(free_ownerless(), self._last_error)
        return list(self._left_out.machines)

    def close_lane(self, lane: str, error: str) -> None:
        """Takes note that the Train job of a lane has died; its trial starts anew."""
        self._lanes.pop(lane, None)
        self._last_error = error.strip().splitlines()[-1]  # Train's have tracebacks

    def dismiss(self, lane: str) -> None:
        """Gives a lane no more work."""
        self._dismissed.add(lane)
        self._lanes.pop(lane, None)

    async def finish(self, *records: Record) -> None:
        """Takes note of units that a lane has stored."""
        for record in records:
            self._longest = max(self._longest, sum(record.seconds.values()))
            if self._reports_stages:
                self._records[record.key] = record
            for key in self.scheduler.finish(record.key):
                await asyncio.to_thread(self.store.drop_state, key)
        await self._announce()

    async def release(self, lane: str, keys: list[str]) -> None:
        """Takes units back that a lane has not begun."""
        self.scheduler.release(lane, keys)
        await self._announce()

    async def hand_over(self, lane: str, key: str, step: int) -> None:
        """Takes a unit back that a lane has left with a checkpoint, since it has to leave itself.

        Args:
            lane: Its name.
            key: The unit.
            step: How many of its steps are done.
        """
        places = self._machines.get(lane, {})
        leaving = ", ".join(places[node] for node in vanished(places)) or "its machine"
        self._losses.append(
            f"'{self.graph.units[key].title}' goes on after step {step} on another machine, since "
            f"{leaving} is about to vanish"
        )
        self.scheduler.release(lane, [key])
        await self._announce()

    async def fail(self, lane: str, key: str, error: str, final: bool) -> None:
        """Takes note of an attempt at a unit that raised an error."""
        self.scheduler.fail(lane, key, error, final)
        await self._announce()

    async def lose(self, lane: str, key: str, child: str) -> None:
        """Takes note that a state cannot be read: its stage is computed again, before `child`."""
        if key not in self.scheduler.to_compute:
            self._lost[key] += 1
            await asyncio.to_thread(self.store.drop_state, key)
            finished = await asyncio.to_thread(self.store.finished, self.graph.units)
            self.scheduler = self.scheduler.renewed(finished, time.monotonic(), without=lane)
            if self._replicates is not None:
                self.scheduler.stop_after(self._replicates)
            if self._lost[key] > self.graph.retries:
                title = self.graph.units[key].title
                error = f"the state of '{title}' was damaged {self._lost[key]} times on the disk"
                self.scheduler.give_up(child, error)
        await self._announce()

    async def abort(self, error: str) -> None:
        """Ends the study, since a lane met an error that every lane would meet."""
        self.scheduler.abort(error)
        await self._announce()

    async def stop_after(self, replicates: int, reason: str) -> None:
        """Leaves out the replicates after the first `replicates`."""
        self._stopped, self._replicates = reason, replicates
        for key in self.scheduler.stop_after(replicates):
            await asyncio.to_thread(self.store.drop_state, key)
        await self._announce()

    async def outcome(self, run: Run, stage: int) -> Outcome | None:
        """Returns how a stage of a run ended; None: ask again."""
        self._started.add((run.backbone, run.method, str(run.replicate), *run.order))
        key = run.stages[stage]
        scheduler = self.scheduler
        await self._wait_until(lambda: key in scheduler.failed or key not in scheduler.todo)
        if key in scheduler.failed:
            return Outcome("failed", error=scheduler.failed[key])
        if key in scheduler.todo:
            return None
        return (
            Outcome("ok", await self.record(key)) if key in scheduler.done else Outcome("skipped")
        )

    async def outcomes(self, first: int, end: int) -> dict[str, int] | None:
        """Returns how many of some runs ended in which way; None: ask again."""
        runs = self.graph.runs[first:end]
        self._started |= {(r.backbone, r.method, str(r.replicate), *r.order) for r in runs}
        scheduler = self.scheduler
        keys = {key for run in runs for key in run.stages}
        await self._wait_until(
            lambda: all(key in scheduler.failed or key not in scheduler.todo for key in keys)
        )
        if any(key in scheduler.todo and key not in scheduler.failed for key in keys):
            return None
        failed = sum(any(key in scheduler.failed for key in run.stages) for run in runs)
        ok = sum(all(key in scheduler.done for key in run.stages) for run in runs)
        return {"ok": ok, "failed": failed, "skipped": len(runs) - ok - failed}

    async def record(self, key: str) -> Record:
        """Returns the record of a finished unit."""
        if key not in self._records:
            self._records[key] = await asyncio.to_thread(
                self.store.record, key, self.graph.units[key].evaluation
            )
        return self._records[key]

    async def may_leave(self) -> bool:
        """Returns whether a trial that has all its stages may end.

        As long as some runs have not started, Tune gives the trial's actor, and with it the lane,
        another run. The last trials stay until every unit is done or failed, so that their lanes
        keep working for the others.
        """
        if len(self._started) < len(self.graph.runs):
            return True
        return await self._wait_until(lambda: self.scheduler.is_settled)

    def progress(self) -> Progress:
        """Returns a snapshot of the study's progress."""
        scheduler = self.scheduler
        return Progress(
            units=len(scheduler.done) + len(scheduler.todo),
            done=list(scheduler.done),
            restored=scheduler.restored,
            working=[self.graph.units[key].title for key in scheduler.in_hand.values()],
            failed=dict(scheduler.failed),
            is_settled=scheduler.is_settled,
            stopped=self._stopped,
            damaged=len(self._lost),
            idle=self._idle,
            losses=(*self._losses, *self._left_out.sentences),
            left_out=self._left_out.machines,
        )
