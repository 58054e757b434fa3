"""Opens one split of a data set with the library `datasets`."""

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

from sweep.errors import InputError, unknown
from sweep.tasks.sources.arrow import ArrowTable
from sweep.tasks.sources.layout import config_of
from sweep.tasks.sources.places import CARD, Place, quiet

_SAVED = ("state.json", "dataset_dict.json")
"""Files of a folder that `save_to_disk` wrote: of one split, or of several."""
_BUILDERS = {".parquet": "parquet", ".arrow": "arrow", ".tar": "webdataset"}
"""What `datasets` reads files with."""


def is_saved(place: Place) -> bool:
    """Returns whether it is a folder that `save_to_disk` wrote."""
    return place.is_folder and any(Path(place.path, name).is_file() for name in _SAVED)


def open_saved(place: Place, split: str, images: str) -> ArrowTable:
    """Returns a split of a folder that `save_to_disk` wrote.

    Raises:
        InputError: there is no such split, or it cannot be read.
    """
    import datasets  # slow to import, and seldom needed

    with _said(place), quiet():
        data: Any = datasets.load_from_disk(place.path)
    splits = data if isinstance(data, dict) else {str(data.split or "train"): data}
    if split not in splits:
        raise unknown(f"split of {place.named}", split, splits)
    inside = split if isinstance(data, dict) else "."
    files = [os.path.join(place.path, inside, name) for name in sorted(_names(place, inside))]
    return ArrowTable(splits[split], place.named, split, images, files)


def _names(place: Place, folder: str) -> Iterator[str]:
    """Yields the files of a split, but not the caches of what was made of it."""
    for name in os.listdir(os.path.join(place.path, folder)):
        if name in ("dataset_info.json", *_SAVED) or (
            name.endswith(".arrow") and not name.startswith("cache-")
        ):
            yield name


def open_files(
    place: Place, config: str | None, split: str, names: list[str], images: str
) -> ArrowTable:
    """Returns the rows of parquet, arrow or webdataset files.

    `datasets` writes them once into its cache, from where every process maps them into memory.

    Raises:
        InputError: they cannot be read.
    """
    import datasets

    folder = place.get(names)
    files = [os.path.join(folder, name) for name in names]
    builder = _BUILDERS[os.path.splitext(names[0])[1]]
    with _said(place), quiet():
        data = datasets.load_dataset(
            builder,
            _stamp(files),
            data_files=[glob.escape(file) for file in files],
            features=_features(place, config),
            split="train",  # all files that are given; what they are called is no matter
        )
    return ArrowTable(data, place.named, split, images, files)


def _stamp(files: Sequence[str]) -> str:
    """Returns what changes with files; `datasets` looks at their paths and times alone."""
    facts = [(status.st_size, status.st_ctime_ns) for status in map(os.stat, files)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _features(place: Place, config: str | None) -> Any:
    """Returns what the card of a data set says about its columns, if it does."""
    from datasets.info import DatasetInfosDict

    if "dataset_info" not in place.card:
        return None
    infos = DatasetInfosDict.from_directory(place.get(CARD))
    chosen = config_of(place.card, config, place.named)
    return infos[chosen].features if chosen in infos else None


@contextmanager
def _said(place: Place) -> Iterator[None]:
    """Turns what `datasets` raises into an InputError."""
    import datasets

    raised = (OSError, ValueError, TypeError, RuntimeError, datasets.exceptions.DatasetsError)
    try:
        yield
    except InputError:
        raise
    except raised as error:
        cause = error.__cause__ or error  # what went wrong is said there, and where it did here
        reason = shorten(str(cause) or repr(cause), 300, placeholder=" ...").removesuffix(".")
        raise InputError(f"{place.named} cannot be loaded: {reason}.") from None
