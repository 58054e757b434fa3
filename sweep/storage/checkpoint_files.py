"""Keeps checkpoints of stages in training, from which they go on if their lane is lost.

OUT/stages/KEY/checkpoint.STEP.WORKER.safetensors   what each worker of the lane needs
OUT/stages/KEY/checkpoint.json                      which of them count, written last
"""

import posixpath
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sweep.storage.folder import DamagedError, Folder
from sweep.storage.sealing import sealed, unsealed
from sweep.storage.tensor_files import read_tensors, write_tensors

if TYPE_CHECKING:
    from methods.base import State

PREFIX = "checkpoint."
FACTS = f"{PREFIX}json"


@dataclass(frozen=True)
class Checkpoint:
    """What is known about a checkpoint."""

    step: int
    """Steps that were done."""
    seconds: float
    """How long they took."""
    digests: list[str]
    """The SHA-256 of the files of all workers, by rank."""


class CheckpointFiles:
    """Those of one OUT folder: at most one that counts per stage."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def find(self, key: str) -> Checkpoint | None:
        """Returns the checkpoint of a stage; None if there is none that can be read."""
        try:
            return Checkpoint(**unsealed(self.folder.read("stages", key, FACTS)))
        except (FileNotFoundError, DamagedError, TypeError):
            return None

    def write(self, key: str, step: int, rank: int, state: "State") -> str:
        """Writes what one worker needs; returns the SHA-256 of its file. It does not count yet."""
        _, digest = write_tensors(self.folder, state, "stages", key, _file(step, rank))
        return digest

    def complete(self, key: str, checkpoint: Checkpoint) -> None:
        """Lets a checkpoint count of which all workers have written their files; drops others."""
        self.folder.write(sealed(asdict(checkpoint)), "stages", key, FACTS)
        own = [_file(checkpoint.step, rank) for rank in range(len(checkpoint.digests))]
        self._delete(key, but=[FACTS, *own])

    def read(self, key: str, checkpoint: Checkpoint, rank: int) -> "State":
        """Returns what one worker wrote.

        Raises:
            FileNotFoundError: the file is gone.
            DamagedError: it is not what was written.
        """
        name = _file(checkpoint.step, rank)
        return read_tensors(self.folder, checkpoint.digests[rank], "stages", key, name)

    def drop(self, key: str) -> None:
        """Deletes the checkpoint of a stage; what says that it counts goes first."""
        self.folder.delete("stages", key, FACTS)
        self._delete(key)

    def keys(self) -> set[str]:
        """Returns all stages that have files of checkpoints."""
        return {
            posixpath.basename(posixpath.dirname(info.path))
            for info in self.folder.list("stages", recursive=True)
            if info.base_name.startswith(PREFIX)
        }

    def _delete(self, key: str, but: Collection[str] = ()) -> None:
        for info in self.folder.list("stages", key):
            if info.base_name.startswith(PREFIX) and info.base_name not in but:
                self.folder.delete("stages", key, info.base_name)


def _file(step: int, rank: int) -> str:
    return f"{PREFIX}{step}.{rank}.safetensors"
