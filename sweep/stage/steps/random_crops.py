"""Crops training images at random, on their device: the random resized crop of most recipes."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from methods.seeds import derive_seed

RATIOS = (3 / 4, 4 / 3)
"""Width over height of a crop, as torchvision's RandomResizedCrop has it."""
_TRIES = 10
"""Crops that are drawn before the middle of the image is taken, as there."""

Box = tuple[float, float, float, float]
"""Left, top, width and height, as shares of the image."""


class RandomCrops:
    """Crops the images of a step and resizes them back, each sample by numbers of its own.

    The crop of a sample is a function of the stage's seed, the step, the task and the sample, so
    that it does not matter which worker has it, or what ran before. Outside of steps nothing is
    cropped: what a method measures before or after training, it measures on whole images.
    """

    def __init__(self, scale: tuple[float, float] | None) -> None:
        """Takes the smallest and the largest share of an image's area; None: crops nothing."""
        self.scale = scale
        self._step: tuple[int, int] | None = None

    def start(self, seed: int, step: int) -> None:
        """Crops from now on, as in this step of the stage with this seed."""
        self._step = seed, step

    def stop(self) -> None:
        """Crops nothing until the next start."""
        self._step = None

    def __call__(self, pixels: Tensor, task: str, ids: Sequence[int]) -> Tensor:
        """Returns the images of some samples, perhaps cropped: uint8 [B, 3, H, W]."""
        if self.scale is None or self._step is None:
            return pixels
        shape = pixels.shape[2], pixels.shape[3]
        seeds = [derive_seed(*self._step, "crop", task, sample) for sample in ids]
        return cropped(pixels, [draw_box(seed, shape, self.scale) for seed in seeds])


def draw_box(seed: int, shape: tuple[int, int], scale: tuple[float, float]) -> Box:
    """Returns a random crop of an image.

    Args:
        seed: Of the crop.
        shape: Height and width of the image, in pixels.
        scale: Smallest and largest share of its area.

    >>> draw_box(1, (224, 224), (1.0, 1.0))
    (0.0, 0.0, 1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return left / width, top / height, w / width, h / height
    return 0.0, 0.0, 1.0, 1.0


def cropped(pixels: Tensor, boxes: Sequence[Box]) -> Tensor:
    """Returns the crops, resized to the size of the images by bicubic interpolation.

    Args:
        pixels: uint8 [B, 3, H, W].
        boxes: B of them.
    """
    left, top, width, height = torch.tensor(boxes, dtype=torch.float32).T
    # In the coordinates of affine_grid an image reaches from -1 to 1.
    zero = torch.zeros_like(left)
    across = torch.stack([width, zero, 2 * left + width - 1], dim=1)
    down = torch.stack([zero, height, 2 * top + height - 1], dim=1)
    where = torch.stack([across, down], dim=1).to(pixels.device)
    grid = affine_grid(where, list(pixels.shape), align_corners=False)
    with torch.autocast(pixels.device.type, enabled=False):
        found = grid_sample(
            pixels.float(), grid, mode="bicubic", padding_mode="border", align_corners=False
        )
    return found.round().clamp(0, 255).to(torch.uint8)
