"""Stores stages that were finished together, in two files for all of them.

OUT/stages/batches/NAME.embeddings.parquet   mean embeddings, with the key of their stage
OUT/stages/batches/NAME.parquet              a record per stage, written last: they are all complete

Combinations of experts may take milliseconds, and there may be hundreds of thousands of them: with
files of its own for each, a file system would take longer than all the rest.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sweep.storage.folder import DamagedError, Folder
from sweep.storage.sealing import unsealed

BATCHES = ("stages", "batches")
"""The folder."""
SCHEMA = pa.schema([("key", pa.string()), ("evaluation", pa.string()), ("record", pa.binary())])
_PLACES = pa.schema([SCHEMA.field("key"), SCHEMA.field("evaluation")])
_EMBEDDINGS = ".embeddings.parquet"
_DIGEST = "embeddings_sha256"
"""Metadata of a batch's records: the SHA-256 of its embeddings, or "" if there are none."""
_MOST = 4
"""Batches that stay in memory."""


@dataclass(frozen=True)
class Stored:
    """A finished stage, as it is stored."""

    key: str
    evaluation: str
    record: bytes
    embeddings: pa.Table | None


class Batches:
    """The batches of one OUT folder; any thread may read them."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._where: dict[str, dict[str, str]] = {}
        self.written: dict[str, float] = {}
        """When the batches of stages that were seen were written: seconds by the clock of the file
        system."""
        self._read: OrderedDict[str, Mapping[tuple[str, str], Stored]] = OrderedDict()

    def save(self, stages: Iterable[Stored]) -> None:
        """Writes a batch."""
        name, stored = uuid.uuid4().hex, list(stages)
        tables = [
            one.embeddings.append_column("key", pa.array([one.key] * len(one.embeddings)))
            for one in stored
            if one.embeddings is not None
        ]
        digest = ""
        if tables:
            table = pa.concat_tables(tables)
            digest = self._folder.write_table(table, *BATCHES, f"{name}{_EMBEDDINGS}")
        rows = [
            {"key": one.key, "evaluation": one.evaluation, "record": one.record} for one in stored
        ]
        records = pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata({_DIGEST: digest})
        self._folder.write_table(records, *BATCHES, f"{name}.parquet")

    def scan(self) -> Iterable[str]:
        """Looks which batches there are now; returns the keys of all their stages."""
        with self._lock:
            for info in self._folder.list(*BATCHES):
                name = info.base_name.removesuffix(".parquet")
                if not info.base_name.endswith(".parquet") or name in self._seen:
                    continue
                self._seen.add(name)
                if info.base_name.endswith(_EMBEDDINGS):
                    continue
                try:
                    table = self._folder.read_table(*BATCHES, info.base_name, schema=_PLACES)
                except DamagedError:  # then none of its stages is finished
                    continue
                keys, evaluations = (column.to_pylist() for column in table.columns)
                for key, evaluation in zip(keys, evaluations, strict=True):
                    self._where.setdefault(key, {})[evaluation] = name
                    self.written[key] = info.mtime.timestamp() if info.mtime else 0.0
        return list(self._where)

    def evaluations(self, key: str) -> list[str]:
        """Returns the evaluations that a stage has records of in batches that were seen."""
        return list(self._where.get(key, ()))

    def damaged(self, seen: Callable[[Mapping[str, Any]], None]) -> dict[str, list[str]]:
        """Returns the keys of stages in batches that cannot be read, by the batch's name.

        Args:
            seen: Is given every record that can be read.
        """
        self.scan()
        found: dict[str, list[str]] = {}
        for info in self._folder.list(*BATCHES):
            name = info.base_name.removesuffix(".parquet")
            if name == info.base_name or info.base_name.endswith(_EMBEDDINGS):
                continue
            try:
                stored = self._load(name)
                records = [unsealed(one.record) for one in stored.values()]
            except DamagedError:
                found[name] = [key for key, own in self._where.items() if name in own.values()]
                continue
            for record in records:
                seen(record)
        return found

    def delete(self, name: str) -> None:
        """Deletes a batch, its records first."""
        with self._lock:
            self._folder.delete(*BATCHES, f"{name}.parquet")
            self._folder.delete(*BATCHES, f"{name}{_EMBEDDINGS}")
            self._read.pop(name, None)
            for key in [key for key, own in self._where.items() if name in own.values()]:
                self._where[key] = {e: n for e, n in self._where[key].items() if n != name}
                if not self._where[key]:
                    del self._where[key]

    def load(self, key: str, evaluation: str) -> Stored:
        """Returns a stage with one of its `evaluations`."""
        name = self._where[key][evaluation]
        with self._lock:
            if name not in self._read:
                self._read[name] = self._load(name)
                if len(self._read) > _MOST:
                    self._read.popitem(last=False)
            return self._read[name][key, evaluation]

    def _load(self, name: str) -> Mapping[tuple[str, str], Stored]:
        records = self._folder.read_table(*BATCHES, f"{name}.parquet", schema=SCHEMA)
        rows = records.to_pylist()
        tables: dict[str, pa.Table] = {}
        if (
            digest := (records.schema.metadata or {})
            .get(_DIGEST.encode(), b"")
            .decode(errors="replace")
        ):
            try:
                found = self._folder.read_table(*BATCHES, f"{name}{_EMBEDDINGS}", sha256=digest)
            except FileNotFoundError as error:
                raise DamagedError(str(error)) from None
            places: dict[str, list[int]] = {}
            for row, key in enumerate(found["key"].to_pylist()):
                places.setdefault(key, [row, 0])[1] += 1
            vectors = found.drop_columns(["key"])
            tables = {key: vectors.slice(first, count) for key, (first, count) in places.items()}
        return {
            (row["key"], row["evaluation"]): Stored(**row, embeddings=tables.get(row["key"]))
            for row in rows
        }
