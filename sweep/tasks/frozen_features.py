"""Computes what a frozen image tower makes of images once; they then stand for the pixels."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Split
from methods.seeds import torch_seeded
from sweep.tasks.pixels import Pixels, Rows, digest, made_once, pixels_at_hand

_AT_ONCE = 64
"""Images of one forward pass. The same everywhere: other batches round differently."""
_LARGEST = 4
"""Bytes of features of an image, as a multiple of its pixels' bytes."""


class FrozenFeatures:
    """The features of the images of one split, by a backbone whose image tower nothing changes.

    They are made in evaluation mode and in the precision of the weights, whatever precision a study
    trains with, and kept as prepared images are: once for all processes of a machine.
    """

    def __init__(self, split: Split, backbone: Backbone, cache_dir: Path, key: str) -> None:
        """Names their file; they are made when they are first asked for.

        Args:
            split: Where the images come from.
            backbone: Whose features they are; see `worth_keeping`.
            cache_dir: Folder for features and prepared images; created if needed.
            key: Identifies the content of the split.
        """
        self._source = split, backbone, cache_dir, key
        # Images that lie in memory identify themselves.
        at_hand = pixels_at_hand(split, backbone)
        if at_hand is not None:
            key = hashlib.sha256(np.ascontiguousarray(at_hand).data).hexdigest()
        # Rounding depends on the rest.
        place = f"{backbone.device.type}/{torch.get_num_threads()}"
        versions = f"{torch.__version__}/{transformers.__version__}"
        name = digest("features", backbone.fingerprint, key, place, versions)
        self._file = cache_dir / f"{name}.npy"
        self._rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._source[0].pictures)

    def __getitem__(self, numbers: Tensor | np.ndarray) -> Tensor:
        """Returns features by the images' numbers in the split (int64 [B], CPU): float [B, ...].

        Raises:
            InputError: there is no room for them.
        """
        self.prepare()
        assert self._rows is not None
        rows = torch.from_numpy(self._rows[np.asarray(numbers)])
        return rows if rows.is_floating_point() else rows.view(torch.bfloat16)

    def prepare(self, waits: bool = True) -> bool:
        """Makes the features, or finds them made; returns whether they are there.

        Args:
            waits: Whether to wait if another process is making them.

        Raises:
            InputError: there is no room for them.
        """
        if self._rows is None:
            self._rows = made_once(self._file, self._made, waits)
        return self._rows is not None

    @property
    def missing(self) -> int:
        """Returns of how many images there are no features on this machine yet."""
        return 0 if self._file.exists() else len(self)

    def _made(self) -> Rows:
        backbone, pixels = self._source[1], Pixels(*self._source)
        example = _as_array(features_of(backbone, sample_pixels(backbone)))

        def parts() -> Iterator[np.ndarray]:
            for ids in torch.split(torch.arange(len(pixels)), _AT_ONCE):
                yield _as_array(features_of(backbone, pixels[ids]))

        return Rows((len(pixels), *example.shape[1:]), example.dtype, parts(), "image features")


@torch.no_grad()
def features_of(backbone: Backbone, pixels: Tensor) -> Tensor:
    """Returns the features of images, on the CPU.

    Raises:
        TypeError: the backbone has none.
    """
    device = backbone.device
    with torch.autocast(device.type, enabled=False), backbone.without_dropout():
        features = backbone.vision_features(pixels.to(device))
    if features is None:
        raise TypeError(f"{type(backbone).__name__} has no features of images")
    return features.cpu()


def sample_pixels(backbone: Backbone, images: int = 1) -> Tensor:
    """Returns noise at the backbone's resolution: uint8 [images, 3, H, W]."""
    shape = (images, *backbone.pixels([]).shape[1:])
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


@torch.no_grad()
def worth_keeping(backbone: Backbone) -> bool:
    """Returns whether features can stand for pixels, and are worth the room that they take.

    They cannot where images are read otherwise in training, by dropout. Where they are much larger
    than pixels, as the hundreds of image tokens of some fusion models are, the tower is a small
    part of the work that the language model has with them.
    """
    pixels, was_training = sample_pixels(backbone), backbone.training
    with torch.autocast(backbone.device.type, enabled=False), torch_seeded(0):
        seen = backbone.train().vision_features(pixels.to(backbone.device))
    backbone.train(was_training)
    if seen is None or seen.nbytes > _LARGEST * pixels.nbytes:
        return False
    still = features_of(backbone, pixels)
    return torch.allclose(seen.cpu().float(), still.float(), rtol=1e-4, atol=1e-5)


def _as_array(features: Tensor) -> np.ndarray:
    """Returns features as they are kept: numpy knows no bfloat16, so its bits are."""
    if features.dtype == torch.bfloat16:
        features = features.view(torch.int16)
    kept: np.ndarray = features.contiguous().numpy()
    return kept
