"""Finds stages whose files are not what was written: they are not finished, whatever is listed."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyarrow.fs import LocalFileSystem

from sweep.storage.batches import BATCHES
from sweep.storage.folder import UNFINISHED, DamagedError
from sweep.storage.store import READERS, Store


@dataclass(frozen=True)
class Damage:
    """What of a run's stages cannot be read."""

    records: frozenset[tuple[str, str]]
    """Stages with files of their own, and the evaluation of which something is damaged."""
    batches: Mapping[str, list[str]]
    """Damaged batches by name, with the keys of their stages."""

    @property
    def stages(self) -> set[str]:
        """Returns the keys of the stages that something is damaged of."""
        return {key for key, _ in self.records}.union(*self.batches.values())

    def remove(self, store: Store) -> None:
        """Deletes all of it, so that it is made again."""
        for key, evaluation in self.records:
            store.delete(key, evaluation)
        for name in self.batches:
            store.batches.delete(name)


def find_damage(store: Store) -> Damage:
    """Reads all records and embeddings, and returns what is damaged.

    States are not read, which would take long: that one is damaged is noticed when it is needed.
    """

    def check(stage: tuple[str, str]) -> tuple[str, str] | None:
        try:
            store.check(*stage)
        except DamagedError:
            return stage
        return None

    stages = [(key, one) for key, own in store.own_files().items() for one in own]
    with ThreadPoolExecutor(READERS) as pool:
        damaged = frozenset(stage for stage in pool.map(check, stages) if stage)
    return Damage(damaged, store.batches.damaged())


def remove_unfinished(store: Store) -> None:
    """Deletes files that were half written when their writer was killed; only disks have any."""
    folder = store.folder
    if not isinstance(folder.filesystem, LocalFileSystem):
        return
    for place in (BATCHES[:1], ()):
        for info in folder.list(*place, recursive=bool(place)):
            if info.base_name.endswith(UNFINISHED):
                folder.filesystem.delete_file(info.path)
