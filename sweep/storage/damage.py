"""Finds stages whose files are not what was written: they are not finished, whatever is listed."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

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


def find_damage(
    store: Store, seen: Callable[[Mapping[str, Any]], None] = lambda record: None
) -> Damage:
    """Reads all records and embeddings, and returns what is damaged.

    States are not read, which would take long: that one is damaged is noticed when it is needed.

    Args:
        store: The stages.
        seen: Is given every record that can be read, one after the other.
    """

    def check(stage: tuple[str, str]) -> Mapping[str, Any] | None:
        try:
            return store.check(*stage)
        except DamagedError:
            return None

    stages = [(key, one) for key, own in store.own_files().items() for one in own]
    damaged = set()
    with ThreadPoolExecutor(READERS) as pool:
        for stage, record in zip(stages, pool.map(check, stages), strict=True):
            if record is None:
                damaged.add(stage)
            else:
                seen(record)
    return Damage(frozenset(damaged), store.batches.damaged(seen))


def remove_unfinished(store: Store) -> None:
    """Deletes files that were half written when their writer was killed; only disks have any."""
    folder = store.folder
    if not isinstance(folder.filesystem, LocalFileSystem):
        return
    for place in (BATCHES[:1], ()):
        for info in folder.list(*place, recursive=bool(place)):
            if info.base_name.endswith(UNFINISHED):
                folder.filesystem.delete_file(info.path)
