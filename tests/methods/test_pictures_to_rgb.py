"""Pictures of any kind become 8-bit RGB, and what cannot be read for certain is refused."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from methods.backbones.images import rgb

SIXTEEN = np.array([[0, 256, 257, 1000, 40000, 65535]], np.uint16)
AS_EIGHT = [0, 1, 1, 4, 156, 255]
"""The nearest whole number to a 257th."""


def saved(picture: Image.Image, kind: str, **options: Any) -> Image.Image:
    """The picture as it comes back from a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(file)


def greys(picture: Image.Image) -> list[int]:
    pixels = np.asarray(picture)
    assert pixels.dtype == np.uint8
    assert picture.mode == "RGB"
    assert (pixels == pixels[..., :1]).all()
    return pixels[0, :, 0].tolist()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_scale(kind: str) -> None:
    assert greys(rgb(saved(Image.fromarray(SIXTEEN), kind))) == AS_EIGHT


@pytest.mark.parametrize("kind", [">u2", "<u2"])
def test_either_byte_order_is_read(kind: str) -> None:
    picture = Image.fromarray(SIXTEEN.astype(kind))
    assert greys(rgb(picture)) == greys(rgb(saved(picture, "TIFF"))) == AS_EIGHT


def test_a_ramp_keeps_its_levels() -> None:
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    pixels = np.asarray(rgb(saved(Image.fromarray(ramp), "PNG")))
    assert len(np.unique(pixels)) == 256
    assert np.abs(pixels[..., 0] - ramp / 257).max() <= 0.5


def test_sixteen_bits_in_thirty_two_are_read_as_such() -> None:
    wide = Image.fromarray(SIXTEEN.astype(np.int32))
    assert wide.mode == "I"
    assert greys(rgb(saved(wide, "TIFF"))) == AS_EIGHT


def test_dark_pictures_of_sixteen_bits_stay_dark() -> None:
    dark = Image.fromarray(np.array([[0, 100, 200]], np.uint16))
    for kind in ("PNG", "PPM", "TIFF"):
        assert greys(rgb(saved(dark, kind))) == [0, 0, 1]


def test_fractions_are_of_white() -> None:
    picture = Image.fromarray(np.array([[0, 0.25, 0.5, 1]], np.float32))
    assert greys(rgb(saved(picture, "TIFF"))) == [0, 64, 128, 255]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 1.5]], np.float32), "fractions from 0 to 1.5"),
        (np.array([[-0.1, 1]], np.float32), "fractions from -0.1 to 1"),
        (np.array([[0, np.nan]], np.float32), "fractions from nan to nan"),
        (np.array([[0, 70000]], np.int32), "whole numbers from 0 to 70000"),
        (np.array([[-1, 300]], np.int32), "whole numbers from -1 to 300"),
        (np.array([[0, 200]], np.int32), "white may be 255 or 65535"),
    ],
)
def test_unknown_scales_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rgb(Image.fromarray(values))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_other_mode_is_converted(mode: str) -> None:
    white = Image.new("RGB", (3, 3), "white")
    source = white if mode == "RGB" else white.convert("L" if mode == "1" else "RGB").convert(mode)
    assert greys(rgb(source)) == [255, 255, 255]


def test_transparency_is_ignored_without_a_warning() -> None:
    palette = Image.new("P", (1, 1))
    palette.putpalette([200, 30, 10] + [0] * 765)
    see_through = Image.new("RGBA", (1, 1), (200, 30, 10, 0))
    grey = Image.new("LA", (1, 1), (90, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rgb(saved(palette, "PNG", transparency=b"\x80")).getpixel((0, 0)) == (200, 30, 10)
        assert rgb(saved(see_through, "PNG")).getpixel((0, 0)) == (200, 30, 10)
        assert rgb(saved(grey, "PNG")).getpixel((0, 0)) == (90, 90, 90)


def test_inks_become_light() -> None:
    cyan = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100)
    red, green, blue = rgb(cyan).getpixel((4, 4))
    assert red < 10
    assert min(green, blue) > 245
