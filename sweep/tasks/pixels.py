"""Prepares images for a backbone once; they are then read hundreds of times."""

import hashlib
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Split
from sweep.errors import InputError
from sweep.texts import size

_PICTURES_AT_ONCE = 512
"""Images in memory while they are decoded and resized."""
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
        arrays = split.pictures
        if isinstance(arrays, np.ndarray):
            resolution = backbone.pixels(arrays[:0]).shape[2:]
            if arrays.shape[1:3] == resolution:
                self._pixels = backbone.pixels(arrays).numpy()
                return
        name = hashlib.sha256(f"{backbone.fingerprint}/{key}".encode()).hexdigest()
        file = cache_dir / f"{name}.npy"
        if not file.exists():
            cache_dir.mkdir(parents=True, exist_ok=True)
            # The system lets go of the lock of a process that has died.
            with FileLock(file.with_suffix(".lock")):
                if not file.exists():
                    _prepare(split, backbone, file)
        self._pixels = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, numbers: Tensor | np.ndarray) -> Tensor:
        """Returns images by their numbers in the split (int64 [B], CPU): uint8 [B, 3, H, W]."""
        return torch.from_numpy(self._pixels[np.asarray(numbers)]).contiguous()


def _prepare(split: Split, backbone: Backbone, file: Path) -> None:
    shape = (len(split.pictures), *backbone.pixels([]).shape[1:])
    _check_room(shape, file.parent)

    # Arrays are there already, or made in one go (`sweep.stage.pools.Generated`).
    is_opened = not isinstance(split.pictures, np.ndarray)

    def prepared(numbers: np.ndarray) -> np.ndarray:
        some: np.ndarray = backbone.pixels(split.images(numbers)).numpy()
        return some

    # One process at a time is here: if there is such a file, the one that wrote it has died.
    unfinished = file.with_suffix(".unfinished")
    try:
        # Pillow decodes and resizes without holding Python's lock.
        with unfinished.open("wb") as stream, ThreadPoolExecutor() as threads:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for start in range(0, shape[0], _PICTURES_AT_ONCE):
                numbers = np.arange(start, min(start + _PICTURES_AT_ONCE, shape[0]))
                cuts = range(_PER_THREAD, len(numbers), _PER_THREAD) if is_opened else []
                parts = np.split(numbers, cuts)
                for some in threads.map(prepared, parts):
                    # Not through a map of the file: a full disk would kill the process.
                    stream.write(some.tobytes())
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_room(shape: tuple[int, ...], folder: Path) -> None:
    needed, free = math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{shape[0]} prepared images take {size(needed)}, and in '{folder}' there are "
            f"{size(free)} left; make room there, or set TMPDIR to a folder with more."
        )
