"""Prepares images for a backbone once; they are then read hundreds of times."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Split
from sweep.cache import is_full, make_room, mark_used, no_room, open_cache
from sweep.pulse import PULSE
from sweep.texts import size

_PICTURES_AT_ONCE = 512
"""Images in memory while they are decoded and resized."""
_WAIT = 60.0
"""Seconds of waiting for another process that count as something done."""
_PER_THREAD = 16
"""Images that a thread takes at a time."""


class Pixels:
    """The images of one split at one backbone's resolution.

    Arrays that already have this resolution are used directly. Other images are decoded and resized
    once into a file in `cache_dir`, which all processes of a machine map into memory. Of processes
    that start at the same time one prepares it and the others wait; should it die, another goes on.
    """

    def __init__(self, split: Split, backbone: Backbone, cache_dir: Path, key: str) -> None:
        """Prepares the images, or finds them prepared.

        Args:
            split: Where the images come from.
            backbone: Whose resolution and image processor to use.
            cache_dir: Folder for the prepared images; created if needed.
            key: Identifies the content of the split.

        Raises:
            InputError: there is no room for them.
        """
        held = pixels_at_hand(split, backbone)
        if held is None:
            file = cache_dir / f"{digest(backbone.fingerprint, key)}.npy"
            held = made_once(file, lambda: _prepared(split, backbone))
        assert held is not None  # it has waited
        self._pixels = held

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, numbers: Tensor | np.ndarray) -> Tensor:
        """Returns images by their numbers in the split (int64 [B], CPU): uint8 [B, 3, H, W]."""
        return torch.from_numpy(self._pixels[np.asarray(numbers)]).contiguous()


def pixels_at_hand(split: Split, backbone: Backbone) -> np.ndarray | None:
    """Returns the pixels of a split whose images lie in memory at the backbone's resolution."""
    arrays = split.pictures
    if not isinstance(arrays, np.ndarray):
        return None
    if arrays.shape[1:3] != backbone.pixels(arrays[:0]).shape[2:]:
        return None
    return backbone.pixels(arrays).numpy()


def digest(*parts: str) -> str:
    """Returns the name of a file that holds what these identify."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


class Rows(NamedTuple):
    """An array that is made part by part."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    parts: Iterator[np.ndarray]
    """Rows of it, in their order."""
    what: str
    """What the rows are, as in "5 prepared images"."""


def made_once(file: Path, make: Callable[[], Rows], waits: bool = True) -> np.ndarray | None:
    """Returns an array that is kept in a file, mapped into memory; makes it if it is not there.

    Of processes that ask at the same time one makes it, and the others wait for it. Should it die,
    another goes on.

    Args:
        file: Where it is kept.
        make: Begins to make it.
        waits: Whether to wait while another process makes it; if not, None is returned then.

    Raises:
        InputError: there is no room for it, or the folder is another user's.
    """
    if not file.exists():
        open_cache(file.parent)
        # The system lets go of the lock of a process that has died.
        lock = FileLock(file.with_suffix(".lock"))
        while True:
            try:
                with lock.acquire(timeout=_WAIT if waits else 0):
                    if not file.exists():
                        _write(make(), file)
                break
            except Timeout:
                if not waits:
                    return None
                PULSE.beat()  # to wait is no fault of this process; one that hangs is ended
            except OSError as error:
                if is_full(error):  # of the lock
                    raise no_room(file.parent) from None
                raise
    mark_used(file)
    mapped: np.ndarray = np.load(file, mmap_mode="r")
    return mapped


def _write(rows: Rows, file: Path) -> None:
    needed = math.prod(rows.shape) * rows.dtype.itemsize
    what = f"{rows.shape[0]} {rows.what} take {size(needed)}, and "
    if needed > make_room(file.parent, needed):
        raise no_room(file.parent, what)
    # One process at a time is here: if there is such a file, the one that wrote it has died.
    unfinished = file.with_suffix(".unfinished")
    try:
        with unfinished.open("wb") as stream:
            header = {
                "descr": np.lib.format.dtype_to_descr(rows.dtype),
                "fortran_order": False,
                "shape": rows.shape,
            }
            np.lib.format.write_array_header_1_0(stream, header)
            # Others may take the room while the rows are made, which takes long.
            if needed and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), stream.tell(), needed)
            for some in rows.parts:
                # Not through a map of the file: a full disk would kill the process.
                stream.write(some.tobytes())
                PULSE.beat()
        os.replace(unfinished, file)
    except OSError as error:
        if is_full(error):
            unfinished.unlink(missing_ok=True)
            raise no_room(file.parent, what) from None
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def _prepared(split: Split, backbone: Backbone) -> Rows:
    shape = (len(split.pictures), *backbone.pixels([]).shape[1:])
    # Arrays are there already, or made in one go (`sweep.stage.pools.Generated`).
    is_opened = not isinstance(split.pictures, np.ndarray)

    def prepared(numbers: np.ndarray) -> np.ndarray:
        some: np.ndarray = backbone.pixels(split.images(numbers)).numpy()
        return some

    def parts() -> Iterator[np.ndarray]:
        # Pillow decodes and resizes without holding Python's lock.
        with ThreadPoolExecutor() as threads:
            for start in range(0, shape[0], _PICTURES_AT_ONCE):
                numbers = np.arange(start, min(start + _PICTURES_AT_ONCE, shape[0]))
                cuts = range(_PER_THREAD, len(numbers), _PER_THREAD) if is_opened else []
                yield from threads.map(prepared, np.split(numbers, cuts))

    return Rows(shape, np.dtype(np.uint8), parts(), "prepared images")
