"""Tells how far a run is from its folder alone: needs neither data nor models nor Ray."""

import math
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from sweep.plan.scheduler import Scheduler
from sweep.plan.units import Unit, UnitGraph
from sweep.preview.prices import check_price, priced
from sweep.preview.simulation import simulate
from sweep.storage.damage import find_damage
from sweep.storage.failures import Failure, failures, read_failed
from sweep.storage.folder import DamagedError, Folder
from sweep.storage.lock import RunLock
from sweep.storage.planned import read_plan
from sweep.storage.store import Store
from sweep.texts import duration, plural

RECENT = 3600.0
"""Seconds of the recent past, in which stages are counted."""
MOST = 5
"""Errors and losses that are shown; the run folder has all of them."""
_EVALUATE = "evaluate"
"""The activity of a stage that may come again, for other data to evaluate on."""


@dataclass(frozen=True)
class RunStatus:
    """How far a run is, as its folder tells."""

    sentence: str
    """How many stages are done, and what to do."""
    study: str
    done: int
    total: int
    """Stages: done, and all."""
    worker: str
    """The process that works on it: "process 12 on host"; "" if none does."""
    lanes: int | None
    """Most lanes of the run, or of the one before; None: not known."""
    at_work: int | None
    """Lanes at work now; None: not known."""
    waiting: str
    """Why no lane has been there for long; "" if there are some."""
    stages_per_hour: float | None
    """In the hour before now, or before the last stage if nobody works on it; None: not known."""
    recent_seconds: float
    """What `stages_per_hour` is measured over."""
    seconds_left: float | None
    """By the recorded times of stages; None: not known."""
    lane_hours: float
    """What all finished stages took."""
    gpu_hours: float
    """The same in hours of GPUs; 0: it ran on CPUs."""
    price: float | None
    """Of a GPU-hour, or of a lane-hour on CPUs."""
    failures: tuple[Failure, ...]
    """The distinct errors of stages that failed, the one that cost most stages first."""
    losses: tuple[str, ...]
    """What ended lanes that were at work, and machines that are left out, a sentence each."""

    @property
    def cost(self) -> float | None:
        """What it has cost so far; None without a price."""
        return None if self.price is None else (self.gpu_hours or self.lane_hours) * self.price

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for programs."""
        return asdict(self) | {"cost": self.cost}

    def lines(self) -> list[str]:
        """Returns all that is known, a sentence each; the first is `sentence`."""
        found = [self.sentence, *self._pace(), *self._spent()]
        if self.waiting:
            found.append(f"{self.waiting[0].upper()}{self.waiting[1:]}.")
        for failure in self.failures[:MOST]:
            where = f" (traceback: {failure.file})" if failure.file else ""
            found.append(f"{plural(failure.stages, 'stage')} failed: {failure.error}{where}")
        if (more := len(self.failures) - MOST) > 0:
            found.append(f"{plural(more, 'more error')} in the run's folder 'errors'.")
        found += [f"{loss}." for loss in self.losses[-MOST:]]
        if (more := len(self.losses) - MOST) > 0:
            found.append(f"{more:,} more of these came before; --json has all of them.")
        return found

    def _pace(self) -> list[str]:
        parts = []
        if self.at_work is not None:
            parts.append(f"{self.at_work} of {plural(self.lanes or 0, 'lane')} at work")
        if self.stages_per_hour is not None:
            of_work = "" if self.worker else " of work"
            pace = self.stages_per_hour
            said = f"{pace:,.0f}" if pace >= 100 else f"{pace:.3g}"
            parts.append(
                f"{said} stages per hour over the last {duration(self.recent_seconds)}{of_work}"
            )
        if self.seconds_left is not None:
            on = "" if self.worker else f" on {plural(self.lanes or 1, 'lane')}"
            parts.append(f"about {duration(self.seconds_left)} left{on}")
        return [f"{', '.join(parts)}."] if parts else []

    def _spent(self) -> list[str]:
        if not self.lane_hours:
            return []
        hours, noun = (
            (self.gpu_hours, "GPU-hours") if self.gpu_hours else (self.lane_hours, "lane-hours")
        )
        each = "" if self.price is None else f" at {self.price:g} each"
        return [f"Stages so far took {priced(hours, noun, self.cost)}{each}."]


def status(out: str) -> str:
    """Returns one sentence on how far the run in a folder is.

    Args:
        out: The folder or URI of a run.

    Raises:
        InputError: the folder holds no run.

    >>> status("nowhere")
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: Folder '...nowhere' does not exist; give the folder of a run, ...
    """
    return run_status(out).sentence


def run_status(out: str, price: float | None = None) -> RunStatus:
    """Returns how far the run in a folder is, how fast, what failed and what it took.

    Reads all records once, and what the driver of the run last wrote about it.

    Args:
        out: The folder or URI of a run.
        price: Of one GPU-hour, in any currency; of a lane-hour where lanes have no GPUs.

    Raises:
        InputError: the folder holds no run, or the price is none.
    """
    check_price(price)
    folder = Folder(out)
    plan, graph = read_plan(folder)
    store = Store(out, graph.evaluations)
    spent = _Spent()
    damaged = find_damage(store, spent.add).stages
    finished = {k: kept for k, kept in store.finished(graph.units).items() if k not in damaged}
    scheduler = Scheduler(graph, finished, lease=math.inf)
    if stopped := plan["stopped"]:
        scheduler.stop_after(stopped["replicates"])
    done, total = len(scheduler.done), len(scheduler.done) + len(scheduler.todo)
    lock = RunLock(folder)
    other = lock.other() if scheduler.todo else None
    worker = other[0] if other else ""
    noted = lock.noted()
    facts = noted if noted.get("lanes") else _manifest(folder) | noted
    times = [
        max(store.written.get(key, 0.0), store.batches.written.get(key, 0.0))
        for key in finished.keys() & graph.units.keys()
    ]
    pace, recent = _pace(times, noted["at"] if worker and noted else None)
    failed = {k: e for k, e in read_failed(graph, folder).items() if k in scheduler.todo}
    at_work = facts.get("at_work") if worker else None
    lanes = facts.get("lanes")
    left = None
    if scheduler.todo and spent.seconds:
        if worker:  # what it has given up it does not try again
            for key, error in failed.items():
                scheduler.give_up(key, error)
        # Lanes that are missing, though there is work for them, are not there.
        are_missing = at_work and at_work < scheduler.ready
        count = (at_work if are_missing else lanes) or 1
        left = simulate(scheduler, count, spent.expected(graph)).seconds
    on_gpus = spent.worker_seconds_on_gpus
    gpu_seconds = on_gpus * _gpus_of_a_worker(folder) if on_gpus else 0.0
    return RunStatus(
        sentence=_sentence(out, plan, done, total, len(damaged & graph.units.keys()), worker),
        study=plan["study"],
        done=done,
        total=total,
        worker=worker,
        lanes=lanes,
        at_work=at_work,
        waiting=str(facts.get("waiting", "")) if worker else "",
        stages_per_hour=pace,
        recent_seconds=recent,
        seconds_left=left,
        lane_hours=spent.lane_seconds / 3600,
        gpu_hours=gpu_seconds / 3600,
        price=price,
        failures=failures(graph, failed, folder),
        losses=tuple(facts.get("losses", ())),
    )


def _sentence(
    out: str, plan: Mapping[str, Any], done: int, total: int, damaged: int, worker: str
) -> str:
    name, stopped = plan["study"], plan["stopped"]
    if done == total:
        why = f" ({stopped['reason']})" if stopped else ""
        return f"{name}: all {total} stages are done{why}. Report: sweep report {out}"
    said = f"{name}: {done} of {total} stages are done"
    if damaged:
        said += f" ({plural(damaged, 'stage')} damaged, to be computed again)"
    if worker:
        return f"{said}; {worker} is working on the rest."
    source = "STUDY" if "://" in out else shlex.quote(f"{out.rstrip('/')}/study.yaml")
    return f"{said}. Resume with: sweep run {source} --out {shlex.quote(out)}"


def _pace(times: list[float], now: float | None) -> tuple[float | None, float]:
    """Returns stages per hour, and the seconds that this is measured over.

    Args:
        times: When stages were finished.
        now: The time; None: nobody works on the run.
    """
    if len(times) < 2:
        return None, 0.0
    end = max(now or 0.0, *times)
    start = max(min(times), end - RECENT)
    if end <= start:
        return None, 0.0
    count = sum(start < time <= end for time in times)
    return 3600 * count / (end - start), end - start


def _manifest(folder: Folder) -> dict[str, Any]:
    """Returns what the last run that ended wrote about itself; {} if there was none."""
    with suppress(FileNotFoundError, DamagedError):
        facts = folder.read_json("manifest.json")
        return dict(facts) if isinstance(facts, dict) else {}
    return {}


def _gpus_of_a_worker(folder: Folder) -> float:
    """Returns the GPUs that a worker of the study takes, if there are any."""
    with suppress(FileNotFoundError, yaml.YAMLError, KeyError, TypeError):
        given = yaml.safe_load(folder.read("study.yaml"))["lanes"]["gpus_per_worker"]
        return float(given) if isinstance(given, int | float) else 1.0
    return 1.0


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


class _Spent:
    """What finished stages took, and what others will take by that."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}
        """By stage and activity. A stage may have been evaluated several times."""
        self._workers: dict[str, int] = {}
        """Of the lanes of stages that ran on GPUs."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds a record, of any version."""
        seconds = record.get("seconds")
        if not isinstance(seconds, dict) or not seconds or "key" not in record:
            return
        own = self.seconds.setdefault(record["key"], {})
        for activity, spent in seconds.items():
            before = own.get(activity, 0.0)
            own[activity] = before + spent if activity == _EVALUATE else max(before, spent)
        worker = record.get("worker") or {}
        if str(worker.get("device", "")).startswith("cuda"):
            self._workers[record["key"]] = worker.get("workers", 1)

    def expected(self, graph: UnitGraph) -> Callable[[Unit, bool], float]:
        """Returns a function for the seconds of a unit: the mean of finished ones like it."""
        spent: dict[tuple[str, ...], list[dict[str, float]]] = defaultdict(list)
        for key, own in self.seconds.items():
            unit = graph.units.get(key)
            names = (unit.kind, unit.backbone, unit.method) if unit else ()
            # Where there is none of the same kind, backbone and method, more of them are alike.
            for length in range(len(names) + 1):
                spent[names[:length]].append(own)
        whole = {names: _mean(sum(one.values()) for one in own) for names, own in spent.items()}
        again = {
            names: _mean(one.get(_EVALUATE, 0.0) for one in own) for names, own in spent.items()
        }

        def seconds(unit: Unit, is_trained: bool) -> float:
            names = (unit.kind, unit.backbone, unit.method)
            known = next(names[:k] for k in (3, 2, 1, 0) if names[:k] in spent)
            return (again if is_trained else whole)[known]

        return seconds

    @property
    def lane_seconds(self) -> float:
        """Of all stages."""
        return sum(sum(own.values()) for own in self.seconds.values())

    @property
    def worker_seconds_on_gpus(self) -> float:
        """Of all workers that had GPUs."""
        return sum(n * sum(self.seconds[key].values()) for key, n in self._workers.items())
