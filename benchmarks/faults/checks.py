"""What is wrong with a study's results after faults, and what the faults have cost."""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
from faults.kinds import Fault

from analysis import load
from sweep.storage.folder import Folder
from sweep.storage.planned import read_plan
from sweep.storage.store import Record, Store

PLACE = ["method", "replicate", "prefix"]
KEYS = [*PLACE, "split", "eval_task", "metric"]
Stage = tuple[str, tuple[str, ...]]
"""Method and prefix."""


@dataclass(frozen=True)
class Begun:
    """A line of the notes: a stage was begun."""

    at: float
    pid: int
    stage: Stage


def read_notes(file: Path, since: float) -> list[Begun]:
    """Returns what was noted since then."""
    lines = file.read_text().splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return [
        Begun(row["at"], row["pid"], (row["method"], tuple(row["prefix"])))
        for row in rows
        if row["at"] >= since
    ]


class RecordWatch:
    """Watches the records of finished stages, which are written once."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.first: dict[str, float] = {}
        """When each stage was finished, by key and name of the record."""
        self.changed: list[tuple[str, float, str]] = []
        """Records that were there and then were other ones, or gone; when; which."""
        self._seen: dict[str, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self._look()

    def _look(self) -> None:
        now: dict[str, tuple[int, int]] = {}
        for file in self._out.glob("stages/*/stage*.json"):
            try:
                facts = file.stat()
            except FileNotFoundError:
                continue
            name = f"{file.parent.name}/{file.name}"
            now[name] = facts.st_ino, facts.st_mtime_ns
            self.first.setdefault(name, facts.st_mtime)
        for name, seen in self._seen.items():
            if now.get(name) != seen:
                what = "written again" if name in now else "deleted"
                self.changed.append((name, time.time(), what))
        self._seen = now

    def end(self) -> None:
        """Looks for the last time."""
        self._stop.set()
        self._thread.join()
        self._look()


@dataclass(frozen=True)
class Calm:
    """The undisturbed run."""

    records: Mapping[str, Record]
    scores: pd.DataFrame
    seconds: float
    begun: int
    """Trainings."""


def read_records(out: Path) -> dict[str, Record]:
    """Returns the records of all stages of the plan."""
    _, graph = read_plan(Folder(str(out)))
    store = Store(str(out), graph.evaluations)
    return {key: store.record(key, unit.evaluation) for key, unit in graph.units.items()}


def read_scores(out: Path) -> pd.DataFrame:
    """Returns the results as a report sees them, in one order."""
    stages = load(str(out)).stages
    return stages[[*KEYS, "value", "n"]].sort_values(KEYS).reset_index(drop=True)


def differences(out: Path, calm: Calm) -> list[str]:
    """Returns in what a finished study differs from the undisturbed one."""
    found = []
    records = read_records(out)
    if records.keys() != calm.records.keys():
        found.append(f"{len(records)} stages instead of {len(calm.records)}")
    for key, record in records.items():
        other = calm.records.get(key)
        if other is None or record.scores != other.scores:
            found.append(f"stage {key} has other scores")
        elif record.embeddings_sha256 != other.embeddings_sha256:
            found.append(f"stage {key} has other embeddings")
        elif record.state_sha256 != other.state_sha256:
            found.append(f"stage {key} has another state")
    scores = read_scores(out)
    if not scores.equals(calm.scores):
        found.append("the results table differs")
    for kind, keys in (("results", KEYS), ("costs", PLACE)):
        rows = pd.concat([pd.read_parquet(file) for file in (out / kind).glob("*.parquet")])
        rows["prefix"] = rows["prefix"].map(tuple)
        if rows.duplicated(keys).any():
            found.append(f"rows of {kind} are there twice")
    return found


def stages_of(out: Path) -> dict[str, Stage]:
    """Returns method and prefix of every stage, by key."""
    _, graph = read_plan(Folder(str(out)))
    return {key: (unit.method, unit.prefix) for key, unit in graph.units.items()}


def trained_again(out: Path, watch: RecordWatch, begun: Sequence[Begun]) -> list[str]:
    """Returns which finished stages were begun again, or written again by another lane.

    A lane that was taken for dead may write what it had begun before: that is no problem.
    """
    names = stages_of(out)
    finished = {names[name.split("/")[0]]: at for name, at in watch.first.items()}
    found = [
        f"{one.stage} was begun again {one.at - finished[one.stage]:.1f} s after it was finished"
        for one in begun
        if one.at > finished.get(one.stage, one.at)
    ]
    for name, at, what in watch.changed:
        stage = names[name.split("/")[0]]
        lanes = {one.pid for one in begun if one.stage == stage and one.at < finished[stage]}
        if what == "deleted" or len(lanes) < 2:
            late = at - finished[stage]
            found.append(f"the record of {stage} was {what} {late:.1f} s after it was finished")
    return found


def attribute(faults: Sequence[Fault], begun: Sequence[Begun]) -> list[str]:
    """Says of every fault what it has cost; returns what was begun again though none happened."""
    found = []
    for i, one in enumerate(begun):
        again = next((other for other in begun[i + 1 :] if other.stage == one.stage), None)
        if again is None:
            continue
        between = [f for f in faults if one.at <= max(f.at, f.until) and f.at <= again.at]
        if not between:
            found.append(f"{one.stage} was begun twice, and nothing had happened")
            continue
        cause = next((f for f in reversed(between) if one.pid in f.alive), between[0])
        at = cause.at if cause.at > one.at else cause.until
        cause.lost += at - one.at
        cause.recovered.append(again.at - at)
    return found


def head_cost(driver: int) -> dict[str, tuple[int, float]]:
    """Returns how many processes a study has on the head, and their memory of their own in MB.

    Args:
        driver: The number of its process.
    """
    counts, sizes = Counter[str](), Counter[str]()
    for process in psutil.Process().children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            size = process.memory_full_info().uss / 1e6
        except psutil.Error:
            continue
        name = "driver" if process.pid == driver else words.split("(")[0].split(" ")[0]
        if name == "driver" or words.startswith("ray::"):
            name = name.partition(".")[0]
            counts[name] += 1
            sizes[name] += size
    return {name: (count, sizes[name]) for name, count in counts.items()}
