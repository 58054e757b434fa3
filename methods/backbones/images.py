"""From images to what a vision tower takes, as the model's own image processor does it."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from methods.data import Images

MOST_OBLONG = 16
"""Longer side of a picture over its shorter one; beyond it the ends are cut off before resizing."""


class Preprocessor(nn.Module, ABC):
    """What a model's processor does to images, in two halves: the first once, the second each time.

    Between the halves images are uint8 of one size, so that they are cheap to keep and to move.
    """

    processor: Any
    """The image processor, as AutoImageProcessor gives it."""
    resolution: tuple[int, int]
    """Height and width of images between the halves."""

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
        pictures = [
            rgb(self._middle(Image.fromarray(image) if isinstance(image, np.ndarray) else image))
            for image in images
        ]
        if not pictures:
            return torch.empty(0, 3, *self.resolution, dtype=torch.uint8)
        return self._resized(pictures)

    @abstractmethod
    def inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Returns what the model is given of prepared images, on their device."""

    @abstractmethod
    def _resized(self, pictures: list[Image.Image]) -> Tensor:
        """Returns pictures in RGB at the model's resolution."""

    def _middle(self, picture: Image.Image) -> Image.Image:
        """Returns the part of a picture that is needed."""
        return picture


class ImagePreprocessor(Preprocessor):
    """A processor that resizes and crops to one size, then rescales and normalises.

    The second half is computed on the device.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, processor: Any) -> None:
        super().__init__()
        self.processor = processor
        self._first_half = {"do_rescale": False, "do_normalize": False}
        if hasattr(processor, "include_top"):
            self._first_half["include_top"] = False
        self.resolution = self._resolution()
        scale, shift = self._second_half()
        self.register_buffer("scale", scale.view(3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(3, 1, 1), persistent=False)
        self._check_halves()

    def _second_half(self) -> tuple[Tensor, Tensor]:
        """Returns what bytes of each channel are multiplied by, and what is added: float32 [3]."""
        processor = self.processor
        rescale, offset = processor.rescale_factor if processor.do_rescale else 1.0, 0.0
        if processor.do_rescale and getattr(processor, "rescale_offset", False):  # EfficientNet's
            offset = -1.0
        mean, std = torch.zeros(3), torch.ones(3)
        if processor.do_normalize:
            mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
        scale, shift = rescale / std, (offset - mean) / std
        if getattr(processor, "include_top", False):  # EfficientNet's second normalisation
            again = torch.tensor(processor.image_std)
            scale, shift = scale / again, shift / again
        return scale, shift

    def _check_halves(self) -> None:
        """Makes sure that both halves together are the processor; ValueError if they are not."""
        bytes_ = np.random.default_rng(0).integers(0, 256, (*self.resolution, 3), dtype=np.uint8)
        picture = Image.fromarray(bytes_)
        whole = torch.from_numpy(np.stack(self.processor([picture])["pixel_values"])).float()
        if not torch.allclose(self(self._resized([picture])), whole, atol=1e-4, rtol=1e-4):
            raise ValueError(
                f"{type(self.processor).__name__} does more than resize, crop, rescale and "
                "normalise images, which is all that is supported."
            )

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

    def _middle(self, picture: Image.Image) -> Image.Image:
        """Returns the part of a very oblong picture that the processor's crop lies in.

        It resizes by the shorter side before it crops: one line of 20 000 pixels took 10 GB.
        """
        length, thickness = max(picture.size), min(picture.size)
        kept = MOST_OBLONG * thickness
        if length <= kept or not getattr(self.processor, "do_center_crop", False):
            return picture
        start = (length - kept) // 2
        along_x = (start, 0, start + kept, thickness)
        along_y = (0, start, thickness, start + kept)
        return picture.crop(along_x if picture.width == length else along_y)

    def _process(self, pictures: list[Image.Image]) -> Any:
        return self.processor(pictures, **self._first_half)["pixel_values"]

    def _resized(self, pictures: list[Image.Image]) -> Tensor:
        return torch.from_numpy(np.stack(self._process(pictures)).astype(np.uint8, copy=False))

    def inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Returns `pixel_values`: float32 [B, 3, H, W]."""
        return {"pixel_values": self(pixels)}

    def forward(self, pixels: Tensor) -> Tensor:
        """Rescale and normalise uint8 [B, 3, H, W] on its device: float32."""
        return pixels * self.scale + self.shift


def rgb(picture: Image.Image) -> Image.Image:
    """Returns a picture of any kind in 8-bit RGB; transparency is ignored.

    Integers of 16 bits are divided by 257, so that white stays white (Pillow's own conversion
    would cut them off at 255). Fractions must lie between 0 and 1.

    Raises:
        ValueError: it is not known which number is white.

    >>> rgb(Image.fromarray(np.array([[0, 257, 65535]], np.uint16))).getpixel((1, 0))
    (1, 1, 1)
    """
    if picture.mode.startswith("I"):
        return _from_grey(_whole_numbers(picture) / 257)
    if picture.mode == "F":
        return _from_grey(_fractions(picture) * 255)
    if picture.mode == "P":  # straight to RGB, Pillow warns of transparency
        picture = picture.convert("RGBA")
    return picture.convert("RGB")


def _whole_numbers(picture: Image.Image) -> np.ndarray:
    grey = np.asarray(picture).astype(np.int64)
    low, high = int(grey.min()), int(grey.max())
    if low < 0 or high > 65535:
        raise ValueError(
            f"it holds whole numbers from {low} to {high}; allowed are those of 16 bits, 0 to 65535"
        )
    # Formats of 16 bits that Pillow reads into 32; elsewhere 32 bits may hold a picture of 8.
    known = picture.mode != "I" or picture.format in ("PNG", "PPM")
    if not known and 0 < high <= 255:
        raise ValueError(
            f"it holds 32-bit numbers from {low} to {high}, of which white may be 255 or 65535; "
            "save it with 8 or 16 bits"
        )
    return grey


def _fractions(picture: Image.Image) -> np.ndarray:
    grey = np.asarray(picture)
    if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
        raise ValueError(
            f"it holds fractions from {grey.min():g} to {grey.max():g}; allowed are those from 0 "
            "to 1"
        )
    return grey


def _from_grey(grey: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
