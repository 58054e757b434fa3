"""Prepares reference pools and synthetic samples, once per machine for all trainings."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Images, Split, Task
from sweep.cache import appearing_complete
from sweep.pulse import PULSE
from sweep.tasks.base import BenchmarkConfig, GeneratorConfig, ReferenceConfig
from sweep.tasks.pixels import Pixels

_AT_ONCE = 256
"""Images of one forward pass."""


class ReferencePool:
    """Image-caption pairs with their embeddings by the untouched backbone."""

    def __init__(self, config: ReferenceConfig, backbone: Backbone, cache_dir: Path) -> None:
        """Prepares the pool, or finds it prepared.

        Args:
            config: Where the pairs come from.
            backbone: Untouched, on its device.
            cache_dir: Folder for prepared images and embeddings; created if needed.
        """
        images, self.captions = config.load()
        self._device = backbone.device
        split = Split(images, np.zeros(len(self.captions), np.int64))
        self._pixels = Pixels(split, backbone, cache_dir, f"reference/{config.fingerprint()}")
        # Rounding depends on the device and on the number of threads, so that lanes that differ
        # in these must not share a cached file.
        place = f"{self._device.type}/{torch.get_num_threads()}"
        key = f"{backbone.fingerprint}/{config.fingerprint()}/{place}"
        self.image_embeddings = _cached(cache_dir, f"{key}/images", self._embed_images, backbone)
        self.text_embeddings = _cached(cache_dir, f"{key}/texts", self._embed_texts, backbone)

    def pixels(self, ids: Tensor) -> Tensor:
        """Returns the images `ids` on the model's device."""
        PULSE.beat()
        return self._pixels[ids].to(self._device, non_blocking=True)

    def _embed_images(self, backbone: Backbone) -> Tensor:
        ids = torch.arange(len(self.captions))
        return torch.cat(
            [backbone.embed_images(self.pixels(p)) for p in torch.split(ids, _AT_ONCE)]
        )

    def _embed_texts(self, backbone: Backbone) -> Tensor:
        return backbone.embed_texts(self.captions)


def _cached(
    cache_dir: Path, key: str, embed: Callable[[Backbone], Tensor], backbone: Backbone
) -> Tensor:
    file = cache_dir / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"
    if not file.exists():
        training = backbone.training
        with torch.no_grad():
            embeddings = embed(backbone.eval()).float().cpu().numpy()
        backbone.train(training)
        with appearing_complete(file) as unfinished:
            np.save(unfinished, embeddings)
    return torch.from_numpy(np.load(file))


@dataclass(frozen=True, eq=False, kw_only=True)
class Generated(Split):
    """Synthetic samples of a task, generated on demand."""

    draw: Callable[[np.ndarray], Images]
    """Generates samples by their numbers."""

    def images(self, numbers: np.ndarray) -> Images:
        """Returns the images of some samples, generated anew."""
        return self.draw(numbers)


def generated(config: GeneratorConfig, benchmark: BenchmarkConfig, task: Task) -> Generated:
    """Returns synthetic samples of a task, every choice equally often.

    The generator may be a large model: it is loaded for each call and released afterwards.
    """
    labels = np.arange(config.images) % len(task.choices)

    def draw(numbers: np.ndarray) -> Images:
        return config.load(benchmark)(task, labels[numbers], numbers.tolist())

    return Generated(
        pictures=np.empty((config.images, 0, 0, 3), np.uint8), labels=labels, draw=draw
    )
