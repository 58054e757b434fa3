"""Writes the folder of a run: study, plan, orders, results, manifest; `Store` writes stages."""

import importlib.metadata
import json
import platform
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import yaml

from analysis.data.results import (
    COSTS_SCHEMA,
    EMBEDDINGS_SCHEMA,
    ORDERS_SCHEMA,
    RESULTS_SCHEMA,
    load,
)
from sweep.errors import InputError
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.storage.changes import Changed, find_changes
from sweep.storage.checkpoint_files import CheckpointFiles
from sweep.storage.damage import find_damage, remove_unfinished
from sweep.storage.failures import ERRORS, FAILED
from sweep.storage.folder import Folder
from sweep.storage.inputs import PACKAGES, write_inputs
from sweep.storage.lock import MARKS
from sweep.storage.placing import at_places
from sweep.storage.planned import PLAN
from sweep.storage.store import READERS, Record, Store
from sweep.study.schema import Study
from sweep.study.stopping import Stop

TENSORBOARD, WANDB = "tensorboard", "wandb"
"""Folders of what a run was logged to, in the run folder."""
LEFT_BEHIND = {"tune", ERRORS, MARKS, TENSORBOARD, WANDB}
"""Files and folders that no study needs."""
TUNE_STATES = ("experiment_state-", "basic-variant-state-")
"""Beginnings of the names of Tune's files that hold pickles, though they are called JSON."""
PARTS = ("results", "costs", "embeddings")
"""Tables that are written in parts."""
READ_TOGETHER = 1000
"""Stages that are read at a time, to bound memory."""
_FIRST = RESULTS_SCHEMA.get_field_index("split")
ROWS_SCHEMA = pa.schema([RESULTS_SCHEMA.field(i) for i in range(_FIRST, len(RESULTS_SCHEMA))])
"""The columns of results that do not say where a stage stands."""

T = TypeVar("T")
Place = tuple[str, str, int, int, Order]
"""Backbone, method, replicate, seed and prefix: where a stage stands in the results."""


class RunFolder:
    """Everything that a run writes besides its stages; readable at any time while it runs."""

    def __init__(self, out: str, plan: Plan) -> None:
        self.folder = Folder(out)
        self.store = Store(out, plan.evaluations)
        self.plan = plan
        self.places = places(plan)
        self._written: set[str] = set()
        self._failed: dict[str, str] = {}
        self._seconds: Counter[str] = Counter()
        self._trained: dict[str, float] = {}
        """Seconds of training of every unit written."""
        self._workers: set[str] = set()
        self._started = self._flushed = time.monotonic()
        self._looked = 0
        self.stop: Stop | None = None

    def check(self, accepts_changes: bool = False) -> Changed | None:
        """Refuses a folder that holds something else; writes nothing.

        Args:
            accepts_changes: Whether to go on although inputs have changed since its stages were
                finished.

        Returns:
            What has changed, if it matters to them.

        Raises:
            InputError: says what the folder holds, or what has changed, and what to do.
        """
        if obstacle := self.folder.obstacle():
            raise InputError(
                f"--out '{self.folder.uri}' cannot be used: {obstacle}; give another folder."
            )
        if not self.folder.exists("study.yaml") and not self.folder.exists("stages"):
            # LEFT_BEHIND is what a run leaves whose folder was removed while it ran.
            if {file.base_name for file in self.folder.list()} - LEFT_BEHIND:
                raise InputError(
                    f"--out '{self.folder.uri}' holds other files and no study; give a new folder."
                )
            return None
        changed = find_changes(self.store, self.plan)
        if changed and changed.setting:
            raise InputError(
                f"--out '{self.folder.uri}' holds another study (its {changed.setting} differs); "
                f"give a new folder, or run that study again to resume it."
            )
        if changed and not accepts_changes:
            raise InputError(
                f"--out '{self.folder.uri}': {changed} Go on with --accept-changes, or give a new "
                f"folder to keep both."
            )
        return changed

    def is_there(self) -> bool:
        """Returns whether the folder still is what `prepare` has made."""
        return self.folder.exists("study.yaml")

    def mend(self) -> int:
        """Deletes stages that are damaged; returns how many of the plan's will be made again."""
        damage = find_damage(self.store)
        damage.remove(self.store)
        return len(damage.stages & self.plan.units.keys())

    def prepare(self) -> None:
        """Writes what is known before the first stage."""
        study = self.plan.study
        if self.folder.exists("tune"):
            self.folder.filesystem.delete_dir(self.folder.join("tune"))
        remove_unfinished(self.store)
        self._remove_checkpoints()
        self._stale = [file.path for kind in PARTS for file in self.folder.list(kind)]
        self.folder.write(dump(study).encode(), "study.yaml")
        self.store.write_evaluations()
        write_inputs(self.folder, self.plan)
        self._write_plan()
        self._write_orders(study.replicates)

    def _remove_checkpoints(self) -> None:
        """Deletes those that nothing goes on from: of stages that are stored, or not planned."""
        checkpoints = CheckpointFiles(self.folder)
        stored = {key for key, records in self.store.own_files().items() if records}
        for key in checkpoints.keys() - (self.plan.units.keys() - stored):
            checkpoints.drop(key)

    def remove_pickles(self) -> None:
        """Deletes what Ray Tune would resume from: pickles, which nobody needs or should open."""
        for info in self.folder.list("tune", recursive=True):
            if info.base_name.endswith(".pkl") or info.base_name.startswith(TUNE_STATES):
                self.folder.filesystem.delete_file(info.path)

    def _write_plan(self) -> None:
        """Writes all that the engine and `status` need, so that neither reads data or models."""
        facts = self.plan.counts() | {
            "data": self.plan.data_sentences(),
            "published": list(self.plan.study.benchmark.published_figures()),
            "stopped": asdict(self.stop) if self.stop else None,
            "graph": self.plan.as_dict(),
        }
        self.folder.write(json.dumps(facts).encode(), PLAN)

    def _write_orders(self, replicates: int) -> None:
        runs = (run for run in self.plan.runs if run.replicate < replicates)
        rows = [
            {"design": self.plan.study.design.name, "block": r, "replicate": r, "order": list(o)}
            for r, o in dict.fromkeys((run.replicate, run.order) for run in runs)
        ]
        self.folder.write_table(pa.Table.from_pylist(rows, ORDERS_SCHEMA), "orders.parquet")

    def look(self, done: Collection[str], failed: dict[str, str]) -> Stop | None:
        """Returns, at the end of a replicate, the decision to stop if there is one.

        After a stop the orders of later replicates are no longer planned, so none is missing.
        """
        stopping, most = self.plan.study.stopping, self.plan.study.replicates
        if stopping is None or self.stop:
            return self.stop
        complete = self.plan.complete_replicates({*done, *failed}, most)
        if complete > self._looked:
            self._looked = complete
            self.flush(done, failed)
            self.stop = stopping.look(stopping.runs(load(self.folder.uri)), complete, most)
            if self.stop:
                self._write_orders(self.stop.replicates)
                self._write_plan()
        return self.stop

    def flush_is_due(self) -> bool:
        """Returns whether to write results: ever more rarely, to limit the number of files."""
        now = time.monotonic()
        return now - self._flushed > max(10.0, 0.05 * (now - self._started))

    def flush(self, done: Iterable[str], failed: dict[str, str]) -> None:
        """Writes the results of all units not written yet."""
        self._flushed = time.monotonic()
        new = [key for key in done if key not in self._written]
        for some in _chunks(new, READ_TOGETHER):
            with ThreadPoolExecutor(READERS) as pool:
                wanted = [self.plan.units[key].evaluation for key in some]
                records = list(pool.map(self.store.record, some, wanted))
                embeddings = list(pool.map(self.store.embeddings, some, wanted))
            for record in records:
                self._seconds.update(record.seconds)
                self._trained[record.key] = record.seconds.get("train", 0.0)
                self._workers.add(json.dumps(record.worker))
            self._write_parts("results", self._results(records))
            self._write_parts("costs", self._cost_tables(records))
            self._write_parts("embeddings", self._vectors(some, embeddings))
            self._written |= set(some)
        for path in self._stale:  # from an earlier run; all of it has just been written again
            self.folder.filesystem.delete_file(path)
        self._stale = []
        if failed != self._failed:
            self._write_failures(failed)
        self._flushed = time.monotonic()

    def _write_parts(self, kind: str, tables: Iterable[pa.Table]) -> None:
        for number, table in enumerate(tables):
            part = f"part-{time.time_ns():x}-{number}.parquet"
            self.folder.write_table(table, kind, part)

    def _results(self, records: Sequence[Record]) -> Iterator[pa.Table]:
        places = [
            [place | self._stage_facts(place) for place in self._placed(record.key)]
            for record in records
        ]
        rows = [self._rows(record) for record in records]
        table = pa.Table.from_pylist([row for own in rows for row in own], ROWS_SCHEMA)
        return at_places(places, table, list(map(len, rows)), RESULTS_SCHEMA)

    def _cost_tables(self, records: Sequence[Record]) -> Iterator[pa.Table]:
        costs = [row for record in records for row in self._costs(record)]
        yield pa.Table.from_pylist(costs, COSTS_SCHEMA)

    def _vectors(
        self, keys: Sequence[str], embeddings: Sequence[pa.Table | None]
    ) -> Iterator[pa.Table]:
        found = [
            (key, table) for key, table in zip(keys, embeddings, strict=True) if table is not None
        ]
        if not found:
            return iter(())
        places = [list(self._placed(key)) for key, _ in found]
        tables = [table for _, table in found]
        rows = pa.concat_tables(tables)
        return at_places(places, rows, list(map(len, tables)), EMBEDDINGS_SCHEMA)

    def _write_failures(self, failed: dict[str, str]) -> None:
        rows = [
            placed
            | self._stage_facts(placed)
            | {"value": float("nan"), "n": 0, "status": "failed", "error": error}
            for key, error in failed.items()
            for placed in self._placed(key)
        ]
        self.folder.write_table(pa.Table.from_pylist(rows, RESULTS_SCHEMA), *FAILED)
        self._failed = dict(failed)

    def _rows(self, record: Record) -> list[dict[str, Any]]:
        """Returns the rows of a stage, wherever it stands."""
        scored = self.plan.study.evaluation.scores_in(record.scores)
        return [
            {name: value for name, value in score.items() if name != "is_primary"}
            | {
                "is_score": scored.get((score["split"], score["eval_task"])) == score["metric"],
                "status": "ok",
            }
            for score in record.scores
        ]

    def _costs(self, record: Record) -> Iterable[dict[str, Any]]:
        """Yields seconds of a stage: learning its last task (and combining), then evaluating."""
        unit = self.plan.units[record.key]
        for placed in self._placed(record.key):
            key = record.key
            if unit.kind == "combine":  # the training behind it is that of the last task
                key = unit.parents[unit.prefix.index(placed["prefix"][-1])]
            yield placed | {
                "train_seconds": self._trained[key] + record.seconds.get("combine", 0.0),
                "evaluate_seconds": record.seconds.get("evaluate", 0.0),
            }

    def _stage_facts(self, placed: dict[str, Any]) -> dict[str, Any]:
        prefix = placed["prefix"]
        return {
            "stage": len(prefix),
            "trained_task": prefix[-1] if prefix else None,
            "knows_task": self.plan.study.methods[placed["method"]].knows_task,
        }

    def _placed(self, key: str) -> Iterable[dict[str, Any]]:
        for backbone, method, replicate, seed, prefix in self.places.get(key, ()):
            yield {
                "study": self.plan.study.name,
                "backbone": backbone,
                "method": method,
                "replicate": replicate,
                "seed": seed,
                "prefix": list(prefix),
            }

    def write_manifest(self, lanes: int, losses: Sequence[str] = ()) -> None:
        """Writes versions, hardware, data, cost and failures; last of all."""
        facts = {
            "study": self.plan.study.name,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "data": self.plan.data_sentences(),
            "lanes": lanes,
            "losses": list(losses),
            "workers": [json.loads(worker) for worker in sorted(self._workers)],
            "wall_seconds": round(time.monotonic() - self._started, 1),
            "lane_seconds": {name: round(spent, 1) for name, spent in self._seconds.items()},
            "stages": len(self._written),
            "stopped": self.stop.reason if self.stop else "",
            "failed": {
                key: f"{self.plan.units[key].title}: {error}" for key, error in self._failed.items()
            },
        }
        self.folder.write(json.dumps(facts, indent=1).encode(), "manifest.json")


def _chunks(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """Yields items in lists of at most so many."""
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some


def places(plan: Plan) -> dict[str, dict[Place, None]]:
    """Returns where every unit stands in the results: all prefixes of all runs it serves."""
    found: dict[str, dict[Place, None]] = {}
    for run in plan.runs:
        for key, prefix in zip(run.stages, run.prefixes, strict=True):
            place = (run.backbone, run.method, run.replicate, run.seed, prefix)
            found.setdefault(key, {})[place] = None
    return found


def dump(study: Study) -> str:
    """Returns the study with all defaults filled in, as YAML."""
    content = study.model_dump(mode="json", by_alias=True)
    content["methods"] = {
        label: {"method": entry["method"], **entry["options"]}
        for label, entry in content["methods"].items()
    }
    return yaml.safe_dump(content, sort_keys=False)
