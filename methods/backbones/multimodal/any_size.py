"""Images for models whose processors make tiles or grids of images of any size."""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from methods.backbones.families import FusionFamily
from methods.backbones.images import ImagePreprocessor, Preprocessor

PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
"""What a processor makes of a text: arguments of models with one value per token."""
USUAL_SIZE = 448
"""Height and width of images, in pixels, where a processor names no size of its own."""


class AnySizeImages(Preprocessor):
    """Brings images to one size, and calls the model's processor on them as its authors do.

    So all images of a backbone have the same number of tokens. Everything that the processor makes
    of an image of this size (tiles, grids, masks, sizes) is what the model is given.
    """

    def __init__(self, processor: Any, size: int | None = None) -> None:
        """Use a model's processor.

        Args:
            processor: As AutoProcessor gives it.
            size: Height and width of images; None: one tile of the processor, or what is usual.

        Raises:
            ValueError: the processor would resize images of this size before it cuts patches.
        """
        super().__init__()
        self.processor = processor.image_processor
        self._whole = processor
        side = usual_size(self.processor) if size is None else size
        self.resolution = (side, side)
        if unit := _unit(self.processor):
            _check_grid(self.processor, side, unit)

    def inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Returns all that the processor makes of the images, but for the tokens of texts."""
        pictures = [[Image.fromarray(one)] for one in pixels.permute(0, 2, 3, 1).cpu().numpy()]
        texts = [self._whole.image_token] * len(pictures)
        given = self._whole(images=pictures, text=texts, return_tensors="pt")
        return {
            name: value.to(pixels.device) for name, value in given.items() if name not in PER_TOKEN
        }

    def _resized(self, pictures: list[Image.Image]) -> Tensor:
        height, width = self.resolution
        own = getattr(self.processor, "resample", None)
        how = Image.Resampling.BICUBIC if own is None else Image.Resampling(own)
        arrays = [np.asarray(one.resize((width, height), how)) for one in pictures]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def preprocessor_of(processor: Any, traits: FusionFamily, size: int | None) -> Preprocessor:
    """Returns what prepares images for a fusion model.

    Raises:
        ValueError: the model's images have a size of their own, or cannot have this one.
    """
    if traits.any_size:
        return AnySizeImages(processor, size)
    images = ImagePreprocessor(processor.image_processor)
    if size is not None:
        height, width = images.resolution
        raise ValueError(
            f"image_size is for models whose images may have any size, and those of this one have "
            f"{height} x {width}; leave it out"
        )
    return images


def usual_size(processor: Any) -> int:
    """Returns the height and width of a tile, or what is usual where there are patches only."""
    if unit := _unit(processor):
        return _nearest(USUAL_SIZE, unit, *_bounds(processor))
    if tile := getattr(processor, "max_image_size", None):
        return int(tile["longest_edge"])
    size = dict(processor.size)
    return int(size.get("height") or size.get("shortest_edge") or USUAL_SIZE)


def _unit(processor: Any) -> int | None:
    """Returns what heights and widths are multiples of, of a processor that makes grids."""
    merged = getattr(processor, "merge_size", None)
    return merged * processor.patch_size if merged else None


def _check_grid(processor: Any, side: int, unit: int) -> None:
    least, most = _bounds(processor)
    if side % unit or not least <= side * side <= most:
        raise ValueError(
            f"image_size is {side}, but its processor takes multiples of {unit} of {least} to "
            f"{most} pixels in all; the nearest is {_nearest(side, unit, least, most)}"
        )


def _bounds(processor: Any) -> tuple[int, int]:
    """Returns the fewest and the most pixels of an image that is not resized."""
    return processor.size["shortest_edge"], processor.size["longest_edge"]


def _nearest(side: int, unit: int, least: int, most: int) -> int:
    first, last = math.ceil(math.sqrt(least) / unit), math.isqrt(most) // unit
    return max(first, min(last, round(side / unit))) * unit
