"""Stores finished stages on any filesystem: the single source of truth about what is done.

OUT/stages/KEY/state.safetensors               the state of this prefix (may be deleted)
OUT/stages/KEY/embeddings.EVALUATION.parquet   mean embeddings of every task
OUT/stages/KEY/stage.EVALUATION.json           the record, written last: it marks completeness
OUT/stages/batches/                            stages that were finished together (`Batches`)
OUT/evaluations/EVALUATION.json                what an evaluation covers

A stage is trained once, and evaluated again where there is more to evaluate it on. The record of a
training that is not evaluated is stage.json.
"""

import json
import posixpath
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sweep.plan.scheduler import Kept
from sweep.plan.units import Unit
from sweep.storage.batches import Batches, Stored
from sweep.storage.folder import DamagedError, Folder
from sweep.storage.sealing import sealed, unsealed
from sweep.storage.tensor_files import read_tensors, write_tensors

if TYPE_CHECKING:
    from methods.base import State

STATE = "state.safetensors"
READERS = 32
"""Threads that read records at the same time: object stores are slow to answer."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Facts about a finished stage."""

    key: str
    evaluation: str = ""
    """What it was evaluated on; "" if it was not."""
    scores: tuple[dict[str, Any], ...] = ()
    """Rows of the results table: split, eval_task, metric, value, n."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by activity: train, evaluate, save."""
    state_bytes: int = 0
    state_sha256: str = ""
    """Empty for a stage without a state of its own."""
    embeddings_sha256: str = ""
    """Of the file with its embeddings; empty if there is none, or they are in a batch."""
    worker: dict[str, Any] = field(default_factory=dict)
    """Where it ran: host, device, number of workers."""


class StateLostError(Exception):
    """Says that a state has to be trained again: its file is gone, or damaged."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        """The stage."""


class Store:
    """The stages of one OUT folder."""

    def __init__(
        self, out: str, evaluations: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        """Reads nothing yet.

        Args:
            out: Folder or URI of a run.
            evaluations: What the evaluations that are wanted cover, see `UnitGraph.evaluations`.
        """
        self.folder = Folder(out)
        self.batches = Batches(self.folder)
        self._evaluations = dict(evaluations or {})
        self.written: dict[str, float] = {}
        """When the stages with files of their own that were listed were last written: seconds by
        the clock of the file system."""

    def write_evaluations(self) -> None:
        """Writes what the evaluations that are wanted cover; comes before any record of them."""
        for name, covered in self._evaluations.items():
            self.folder.write(json.dumps(covered, indent=1).encode(), *_covered_in(name))

    def finished(self, units: Mapping[str, Unit] | None = None) -> dict[str, Kept]:
        """Returns keys of all complete stages, and what there is of each.

        Args:
            units: Those of the plan. They say what stages have to be evaluated on; others nothing.
        """
        units = units or {}
        kept = {}
        files = {key: set[str]() for key in self.batches.scan()} | self._files()
        for key, names in files.items():
            if evaluations := [*_evaluations(names), *self.batches.evaluations(key)]:
                wanted = units[key].evaluation if key in units else ""
                found = any(self._covers(name, wanted) for name in evaluations)
                kept[key] = Kept(has_state=STATE in names, has_scores=found)
        return kept

    def own_files(self) -> dict[str, list[str]]:
        """Returns the evaluations of every stage that has files of its own."""
        return {key: _evaluations(names) for key, names in self._files().items()}

    def check(self, key: str, evaluation: str) -> dict[str, Any]:
        """Reads a record, and its embeddings, from the stage's own files; returns the record.

        Raises:
            DamagedError: they are not what was written.
        """
        facts = unsealed(self.folder.read("stages", key, _record_in(evaluation)))
        if digest := facts.get("embeddings_sha256"):
            try:
                self.folder.read_table("stages", key, _embeddings_in(evaluation), sha256=digest)
            except FileNotFoundError as error:
                raise DamagedError(str(error)) from None
        return facts

    def delete(self, key: str, evaluation: str) -> None:
        """Deletes a record, and then its embeddings."""
        self.folder.delete("stages", key, _record_in(evaluation))
        self.folder.delete("stages", key, _embeddings_in(evaluation))

    def _files(self, *parts: str) -> dict[str, set[str]]:
        """Returns names of files by stage."""
        names: dict[str, set[str]] = {}
        for info in self.folder.list("stages", *parts, recursive=True):
            stage = posixpath.basename(posixpath.dirname(info.path))
            names.setdefault(stage, set()).add(info.base_name)
            if info.mtime and _evaluations([info.base_name]):
                last = self.written.get(stage, 0.0)
                self.written[stage] = max(last, info.mtime.timestamp())
        return names

    def _covers(self, evaluation: str, wanted: str) -> bool:
        """Returns whether an evaluation has all that another one would have."""
        if evaluation == wanted or not wanted:
            return True
        return (
            bool(evaluation) and self._covered(wanted).items() <= self._covered(evaluation).items()
        )

    def _covered(self, evaluation: str) -> dict[str, str]:
        if evaluation not in self._evaluations:
            covered = {}
            if self.folder.exists(*_covered_in(evaluation)):
                with suppress(DamagedError):  # then it is not known to cover anything
                    covered = self.folder.read_json(*_covered_in(evaluation))
            self._evaluations[evaluation] = covered
        return dict(self._evaluations[evaluation])

    def save(
        self,
        record: Record,
        state: "State | None",
        embeddings: pa.Table | None = None,
        former: Record | None = None,
    ) -> Record:
        """Writes a finished stage, its record last.

        Args:
            record: What is known about it.
            state: Its state; None if no stage needs it.
            embeddings: Its embeddings; None if it was not evaluated.
            former: The record of its training, if it was only evaluated now.

        Returns:
            The record as it was written.
        """
        facts = asdict(record)
        if former is not None:
            facts |= {"state_bytes": former.state_bytes, "state_sha256": former.state_sha256}
            facts["seconds"] = former.seconds | record.seconds
        if state is not None:
            size, digest = write_tensors(self.folder, state, "stages", record.key, STATE)
            facts |= {"state_bytes": size, "state_sha256": digest}
        if embeddings is not None:
            facts["embeddings_sha256"] = self.folder.write_table(
                embeddings, "stages", record.key, _embeddings_in(record.evaluation)
            )
        self.folder.write(sealed(facts), "stages", record.key, _record_in(record.evaluation))
        return Record(**facts | {"scores": tuple(facts["scores"])})

    def save_together(self, results: Sequence[tuple[Record, pa.Table | None]]) -> None:
        """Writes finished stages without states, all or none.

        Args:
            results: Their records and embeddings.
        """
        self.batches.save(
            Stored(record.key, record.evaluation, sealed(asdict(record)), embeddings)
            for record, embeddings in results
        )

    def record(self, key: str, evaluation: str = "") -> Record:
        """Returns the record of a finished stage, with the scores of an evaluation.

        Args:
            key: The stage.
            evaluation: What it has to be evaluated on at least; "" for nothing.

        Raises:
            FileNotFoundError: the stage has no such record.
            DamagedError: it is not what was written.
        """
        found = self._found(key, evaluation)
        if found in self.batches.evaluations(key):
            content = self.batches.load(key, found).record
        else:
            content = self.folder.read("stages", key, _record_in(found))
        facts = unsealed(content)
        scores = (row for row in facts["scores"] if not self._is_gone(row, found, evaluation))
        return Record(**facts | {"scores": tuple(scores)})

    def training(self, key: str) -> Record:
        """Returns the record that says what the state of a stage is."""
        records = [self.record(key, evaluation) for evaluation in self._evaluations_of(key)]
        if not records:
            raise FileNotFoundError(f"stage {key} has no record")
        return max(records, key=lambda record: bool(record.state_sha256))

    def embeddings(self, key: str, evaluation: str = "") -> pa.Table | None:
        """Returns the embeddings table of a finished stage, if it has one."""
        found = self._found(key, evaluation)
        if not found:
            return None
        table = self._embeddings(key, found)
        if table is None:
            return None
        rows = [not self._is_gone(row, found, evaluation) for row in table.to_pylist()]
        return table if all(rows) else table.filter(pa.array(rows))

    def _embeddings(self, key: str, evaluation: str) -> pa.Table | None:
        if evaluation in self.batches.evaluations(key):
            return self.batches.load(key, evaluation).embeddings
        return self.folder.read_table("stages", key, _embeddings_in(evaluation))

    def _evaluations_of(self, key: str) -> list[str]:
        """Returns all evaluations that a stage has records of."""
        return [*_evaluations(self._files(key).get(key, set())), *self.batches.evaluations(key)]

    def _found(self, key: str, wanted: str) -> str:
        """Returns the evaluation that a stage has and that covers the one that is wanted."""
        if wanted and wanted in self.batches.evaluations(key):
            return wanted
        if wanted and self.folder.exists("stages", key, _record_in(wanted)):
            return wanted
        names = self._evaluations_of(key)
        if not any(self._covers(name, wanted) for name in names):
            self.batches.scan()  # another process may have stored it since, together with others
            names = self._evaluations_of(key)
        found = [name for name in names if self._covers(name, wanted)]
        if not found:
            raise FileNotFoundError(f"stage {key} has no record of evaluation {wanted or 'any'}")
        return max(found)

    def _is_gone(self, row: dict[str, Any], found: str, wanted: str) -> bool:
        """Returns whether a row is about data that an earlier evaluation had and this has not."""
        if not wanted or found == wanted:
            return False
        name = f"data {row['eval_task']}"
        return name in self._covered(found) and name not in self._covered(wanted)

    def state(self, key: str) -> "State":
        """Returns the state of a finished stage.

        Raises:
            StateLostError: the file is gone, or not what was written.
        """
        digest = self.training(key).state_sha256
        try:
            return read_tensors(self.folder, digest, "stages", key, STATE)
        except (FileNotFoundError, DamagedError):
            raise StateLostError(key) from None

    def drop_state(self, key: str) -> None:
        """Deletes a state that no stage needs any more."""
        self.folder.delete("stages", key, STATE)


def _covered_in(evaluation: str) -> tuple[str, str]:
    return "evaluations", f"{evaluation}.json"


def _record_in(evaluation: str) -> str:
    return f"stage.{evaluation}.json" if evaluation else "stage.json"


def _embeddings_in(evaluation: str) -> str:
    return f"embeddings.{evaluation}.parquet"


def _evaluations(names: Collection[str]) -> list[str]:
    """Returns the evaluations that a stage with these files has records of."""
    whole = sorted(name for name in names if name.startswith("stage.") and name.endswith(".json"))
    return [name.removeprefix("stage").removesuffix("json").strip(".") for name in whole]
