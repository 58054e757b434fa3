"""From images to what a vision tower takes, as the model's own image processor does it."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from methods.data import Images


class ImagePreprocessor(nn.Module):
    """A model's image processor in two halves: resize and crop once, normalise on the device.

    Between the halves images are uint8, so that they are cheap to keep and to move.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, processor: Any) -> None:
        super().__init__()
        self.processor = processor
        self.resolution = self._resolution()
        rescale = processor.rescale_factor if processor.do_rescale else 1.0
        mean, std = torch.zeros(3), torch.ones(3)
        if processor.do_normalize:
            mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
        self.register_buffer("scale", (rescale / std).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)

    def _resolution(self) -> tuple[int, int]:
        """Height and width that every image gets; ValueError if there is no such thing."""
        shapes = {
            np.shape(self._process([Image.new("RGB", size)])) for size in ((64, 48), (48, 80))
        }
        shape = shapes.pop()
        if shapes or len(shape) != 4 or shape[:2] != (1, 3):
            name = type(self.processor).__name__
            raise ValueError(
                f"{name} gives pixels of shape {shape}; only image processors that give one "
                "[3, height, width] array of one size per image are supported."
            )
        return int(shape[2]), int(shape[3])

    def _process(self, pictures: list[Image.Image]) -> Any:
        options = {"do_rescale": False, "do_normalize": False}
        return self.processor(pictures, **options)["pixel_values"]

    def prepare(self, images: Images) -> Tensor:
        """Resize and crop: uint8 [B, 3, H, W] on the CPU.

        Arrays that have the model's resolution already share their memory with the result.
        """
        if isinstance(images, np.ndarray):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
                raise ValueError(
                    f"Images are {images.dtype} {list(images.shape)}; "
                    "arrays must be uint8 [B, H, W, 3]."
                )
            if images.shape[1:3] == self.resolution:
                return torch.from_numpy(images).permute(0, 3, 1, 2)
        pictures = [_rgb(image) for image in images]
        if not pictures:
            return torch.empty(0, 3, *self.resolution, dtype=torch.uint8)
        return torch.from_numpy(np.stack(self._process(pictures)).astype(np.uint8, copy=False))

    def forward(self, pixels: Tensor) -> Tensor:
        """Rescale and normalise uint8 [B, 3, H, W] on its device: float32."""
        return pixels * self.scale + self.shift


def _rgb(image: Image.Image | np.ndarray) -> Image.Image:
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return picture.convert("RGB")
