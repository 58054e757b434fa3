"""Images as a backbone takes them, prepared once and then read hundreds of times."""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import ArraySplit, Split

_PICTURES_AT_ONCE = 256


class Pixels:
    """The images of one split at one backbone's resolution.

    Arrays that have this resolution already are used where they are. Everything else is decoded
    and resized once into a file of `cache_dir`, which all processes of a machine map into memory.
    Processes that start at the same time may each prepare the file; it appears when complete.
    """

    def __init__(self, split: Split, backbone: Backbone, cache_dir: Path, key: str) -> None:
        """Prepare the images, or find them prepared.

        Args:
            split: Where the images come from.
            backbone: Whose resolution and image processor to use.
            cache_dir: Folder for the prepared images; created if needed.
            key: Identifies the content of the split.
        """
        first = backbone.pixels(split.images(np.arange(1)))
        arrays = split.pixels if isinstance(split, ArraySplit) else None
        if isinstance(arrays, np.ndarray) and arrays.shape[1:3] == first.shape[2:]:
            self._pixels = backbone.pixels(arrays).numpy()
            return
        name = hashlib.sha256(f"{backbone.fingerprint}/{key}".encode()).hexdigest()
        file = cache_dir / f"{name}.npy"
        if not file.exists():
            _prepare(split, backbone, (len(split.labels), *first.shape[1:]), file)
        self._pixels = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, ids: Tensor) -> Tensor:
        """The images of the samples `ids` (int64 [B], CPU): uint8 [B, 3, H, W]."""
        return torch.from_numpy(self._pixels[ids.numpy()]).contiguous()


def _prepare(split: Split, backbone: Backbone, shape: tuple[int, ...], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        unfinished = Path(folder) / file.name
        pixels = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, shape[0], _PICTURES_AT_ONCE):
            ids = np.arange(start, min(start + _PICTURES_AT_ONCE, shape[0]))
            pixels[ids] = backbone.pixels(split.images(ids)).numpy()
        pixels.flush()
        os.replace(unfinished, file)
