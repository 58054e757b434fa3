"""Stores finished stages on any filesystem: the single source of truth about what is done.

OUT/stages/KEY/state.safetensors    the state to continue from this prefix with (may be deleted)
OUT/stages/KEY/embeddings.parquet   mean embeddings of every task
OUT/stages/KEY/stage.json           the record, written last: its presence marks completeness
"""

import hashlib
import io
import json
import posixpath
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweep.plan.scheduler import Kept
from sweep.storage.folder import Folder

if TYPE_CHECKING:
    from methods.base import State

RECORD, STATE, EMBEDDINGS = "stage.json", "state.safetensors", "embeddings.parquet"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Facts about a finished stage."""

    key: str
    scores: tuple[dict[str, Any], ...] = ()
    """Rows of the results table: split, eval_task, metric, value, n."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by activity: train, evaluate, save."""
    state_bytes: int = 0
    state_sha256: str = ""
    """Empty for a stage without a state of its own."""
    worker: dict[str, Any] = field(default_factory=dict)
    """Where it ran: host, device, number of workers."""


class Store:
    """The stages of one OUT folder."""

    def __init__(self, out: str) -> None:
        self.folder = Folder(out)

    def finished(self) -> dict[str, Kept]:
        """Returns keys of all complete stages, and which files each has."""
        names: dict[str, set[str]] = {}
        for info in self.folder.list("stages", recursive=True):
            names.setdefault(posixpath.basename(posixpath.dirname(info.path)), set()).add(
                info.base_name
            )
        return {
            key: Kept(has_state=STATE in files, has_scores=EMBEDDINGS in files)
            for key, files in names.items()
            if RECORD in files
        }

    def save(
        self, record: Record, state: "State | None", embeddings: pa.Table | None = None
    ) -> Record:
        """Writes a finished stage, its record last; returns the record with the state's digest."""
        from safetensors.torch import save  # imports torch, which the coordinator need not load

        facts = asdict(record)
        if state is not None:
            content = save(state)
            digest = hashlib.sha256(content).hexdigest()
            facts |= {"state_bytes": len(content), "state_sha256": digest}
            self.folder.write(content, "stages", record.key, STATE)
        if embeddings is not None:
            self.folder.write_table(embeddings, "stages", record.key, EMBEDDINGS)
        self.folder.write(json.dumps(facts, indent=1).encode(), "stages", record.key, RECORD)
        return Record(**facts | {"scores": tuple(facts["scores"])})

    def record(self, key: str) -> Record:
        """Returns the record of a finished stage."""
        facts = json.loads(self.folder.read("stages", key, RECORD))
        return Record(**facts | {"scores": tuple(facts["scores"])})

    def state(self, key: str) -> "State":
        """Returns the state of a finished stage.

        Raises:
            OSError: the file is not what was written.
        """
        from safetensors.torch import load

        content = self.folder.read("stages", key, STATE)
        if hashlib.sha256(content).hexdigest() != self.record(key).state_sha256:
            raise OSError(f"the state of stage {key} is damaged; delete its folder and run again")
        state: State = load(content)
        return state

    def embeddings(self, key: str) -> pa.Table | None:
        """Returns the embeddings table of a finished stage, if it has one."""
        if not self.folder.exists("stages", key, EMBEDDINGS):
            return None
        return pq.read_table(io.BytesIO(self.folder.read("stages", key, EMBEDDINGS)))

    def drop_state(self, key: str) -> None:
        """Deletes a state that no stage needs any more."""
        self.folder.delete("stages", key, STATE)
