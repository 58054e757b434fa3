"""Prepares images for a backbone once; they are then read hundreds of times."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import ArraySplit, Split
from sweep.cache import appearing_complete

_PICTURES_AT_ONCE = 256
"""Images decoded and resized at a time."""


class Pixels:
    """The images of one split at one backbone's resolution.

    Arrays that already have this resolution are used directly. Other images are decoded and resized
    once into a file in `cache_dir`, which all processes of a machine map into memory. Processes
    that start at the same time may each prepare the file; it appears only when it is complete.
    """

    def __init__(self, split: Split, backbone: Backbone, cache_dir: Path, key: str) -> None:
        """Prepares the images, or finds them prepared.

        Args:
            split: Where the images come from.
            backbone: Whose resolution and image processor to use.
            cache_dir: Folder for the prepared images; created if needed.
            key: Identifies the content of the split.
        """
        arrays = split.pixels if isinstance(split, ArraySplit) else None
        if isinstance(arrays, np.ndarray):
            resolution = backbone.pixels(arrays[:1]).shape[2:]
            if arrays.shape[1:3] == resolution:
                self._pixels = backbone.pixels(arrays).numpy()
                return
        name = hashlib.sha256(f"{backbone.fingerprint}/{key}".encode()).hexdigest()
        file = cache_dir / f"{name}.npy"
        if not file.exists():
            _prepare(split, backbone, file)
        self._pixels = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, ids: Tensor) -> Tensor:
        """Returns the images of the samples `ids` (int64 [B], CPU): uint8 [B, 3, H, W]."""
        return torch.from_numpy(self._pixels[ids.numpy()]).contiguous()


def _prepare(split: Split, backbone: Backbone, file: Path) -> None:
    count = len(split.labels)
    with appearing_complete(file) as unfinished:
        for start in range(0, count, _PICTURES_AT_ONCE):
            ids = np.arange(start, min(start + _PICTURES_AT_ONCE, count))
            some = backbone.pixels(split.images(ids)).numpy()
            if start == 0:
                shape = (count, *some.shape[1:])
                pixels = np.lib.format.open_memmap(
                    unfinished, mode="w+", dtype=np.uint8, shape=shape
                )
            pixels[ids] = some
        pixels.flush()
