"""Makes small pictures of files: 32x32 RGB on white, compared and encoded."""

import hashlib
import io
import math
import re
import struct

import numpy as np
from PIL import Image

from sweep.errors import InputError

SIDE = 32
MOST_PIXELS = 3_000_000
"""Of a source file; larger ones are left out before they are decoded."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MARGIN = 1
_LEVELS = 31
"""Colours are rounded to so many steps a channel, which halves the files and cannot be seen."""


def thumbnail(content: bytes) -> np.ndarray | None:
    """Returns a picture file as uint8 [32, 32, 3], or None if it is too large, or shows nothing."""
    if content.lstrip()[:4] == b"<svg" or content[:5] == b"<?xml":
        content = _rasterised(content)
    if content.startswith(_PNG) and math.prod(struct.unpack(">II", content[16:24])) > MOST_PIXELS:
        return None  # Pillow warns of such files before it tells their size
    with Image.open(io.BytesIO(content)) as picture:
        opened = picture.convert("RGBA")
    page = Image.new("RGBA", opened.size, "white")
    pixels = Image.alpha_composite(page, opened).convert("RGB")
    inked = np.asarray(pixels).min(axis=2) < 250
    if inked.mean() < 0.01:
        return None
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    pixels = pixels.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return rounded(np.asarray(fitted(pixels)))


def _rasterised(content: bytes) -> bytes:
    try:
        import resvg_py
    except ImportError as error:
        raise InputError(
            "drawings in SVG need resvg-py: pip install 'task-order-sweep[pictures]'."
        ) from error
    text = re.sub(r"^<\?xml[^>]*>", "", content.decode())
    return bytes(resvg_py.svg_to_bytes(svg_string=text, width=128, height=128))


def fitted(picture: Image.Image, paper: str = "white") -> Image.Image:
    """Returns a picture in the middle of a small square page."""
    most = SIDE - 2 * _MARGIN
    factor = most / max(picture.size)
    size = [max(1, round(factor * length)) for length in picture.size]
    small = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (SIDE, SIDE), paper)
    page.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return page


def rounded(pixels: np.ndarray) -> np.ndarray:
    """Returns uint8 pixels in 32 levels a channel; black and white stay what they are."""
    levels = np.round(pixels.astype(np.float64) * _LEVELS / 255)
    return np.round(levels * 255 / _LEVELS).astype(np.uint8)


def digest_of(pixels: np.ndarray) -> str:
    """Returns the SHA-256 of pixels, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def encoded(pixels: np.ndarray) -> bytes:
    """Returns pixels as a lossless WebP or PNG file, whichever is smaller."""
    files = []
    for kind, options in (("WEBP", {"lossless": True, "quality": 100, "method": 6}), ("PNG", {})):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **({"optimize": True} | options))
        files.append(file.getvalue())
    return min(files, key=len)
