"""Stores stages that were finished together, in two files for all of them.

OUT/stages/batches/NAME.embeddings.parquet   mean embeddings, with the key of their stage
OUT/stages/batches/NAME.parquet              a record per stage, written last: they are all complete

Combinations of experts may take milliseconds, and there may be hundreds of thousands of them: with
files of its own for each, a file system would take longer than all the rest.
"""

import io
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.storage.folder import Folder

BATCHES = ("stages", "batches")
"""The folder."""
SCHEMA = pa.schema([("key", pa.string()), ("evaluation", pa.string()), ("record", pa.binary())])
_EMBEDDINGS = ".embeddings.parquet"
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
        self._read: OrderedDict[str, Mapping[tuple[str, str], Stored]] = OrderedDict()

    def save(self, stages: Iterable[Stored]) -> None:
        """Writes a batch."""
        name, stored = uuid.uuid4().hex, list(stages)
        tables = [
            one.embeddings.append_column("key", pa.array([one.key] * len(one.embeddings)))
            for one in stored
            if one.embeddings is not None
        ]
        if tables:
            table = pa.concat_tables(tables)
            self._folder.write_table(table, *BATCHES, f"{name}{_EMBEDDINGS}")
        rows = [
            {"key": one.key, "evaluation": one.evaluation, "record": one.record} for one in stored
        ]
        self._folder.write_table(pa.Table.from_pylist(rows, SCHEMA), *BATCHES, f"{name}.parquet")

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
                content = self._folder.read(*BATCHES, info.base_name)
                table = pq.read_table(io.BytesIO(content), columns=["key", "evaluation"])
                keys, evaluations = (column.to_pylist() for column in table.columns)
                for key, evaluation in zip(keys, evaluations, strict=True):
                    self._where.setdefault(key, {})[evaluation] = name
        return list(self._where)

    def evaluations(self, key: str) -> list[str]:
        """Returns the evaluations that a stage has records of in batches that were seen."""
        return list(self._where.get(key, ()))

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
        content = self._folder.read(*BATCHES, f"{name}.parquet")
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
        tables: dict[str, pa.Table] = {}
        if self._folder.exists(*BATCHES, f"{name}{_EMBEDDINGS}"):
            found = pq.read_table(io.BytesIO(self._folder.read(*BATCHES, f"{name}{_EMBEDDINGS}")))
            places: dict[str, list[int]] = {}
            for row, key in enumerate(found["key"].to_pylist()):
                places.setdefault(key, [row, 0])[1] += 1
            vectors = found.drop_columns(["key"])
            tables = {key: vectors.slice(first, count) for key, (first, count) in places.items()}
        return {
            (row["key"], row["evaluation"]): Stored(**row, embeddings=tables.get(row["key"]))
            for row in rows
        }
