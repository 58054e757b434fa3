"""Makes the outlines of everything that can be shown, as height fields.

A stencil is float32 [RESOLUTION, RESOLUTION] over the square [-EXTENT, EXTENT]^2, bottom row
first: the distance to the outline, positive inside, in units of the thing's radius.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from scipy.ndimage import distance_transform_edt

from methods.seeds import derive_seed
from sweep.tasks.world.glyphs import bitmaps
from sweep.tasks.world.words import BLOBS

RESOLUTION = 64
"""Rows and columns of a stencil."""
EXTENT = 1.25
"""Half the side of a stencil, in radii of the thing: more than 1 leaves room around it."""

_Y, _X = np.meshgrid(*2 * [np.linspace(-EXTENT, EXTENT, RESOLUTION)], indexing="ij")
_ANGLE = np.arctan2(_Y, _X)


@cache
def shapes() -> Mapping[str, np.ndarray]:
    """Returns the stencil of every shape, and of an arrow that points right."""
    return {name: _stencil(mask()) for name, mask in _MASKS.items()}


@cache
def letters() -> Mapping[str, np.ndarray]:
    """Returns the stencil of every capital letter."""
    return {letter: _stencil(_glyph(bitmap)) for letter, bitmap in bitmaps().items()}


@cache
def blobs() -> Mapping[str, np.ndarray]:
    """Returns the stencil of every invented thing."""
    return {name: _stencil(_blob(name)) for name in BLOBS.words}


def _stencil(mask: np.ndarray) -> np.ndarray:
    height = distance_transform_edt(mask) - distance_transform_edt(~mask)
    scaled: np.ndarray = (height * 2 * EXTENT / RESOLUTION).astype(np.float32)
    return scaled


def _disk(x: float = 0, y: float = 0, radius: float = 0.95) -> np.ndarray:
    disk: np.ndarray = np.hypot(_X - x, _Y - y) < radius
    return disk


def _box(left: float, bottom: float, right: float, top: float) -> np.ndarray:
    return (left < _X) & (right > _X) & (bottom < _Y) & (top > _Y)


def _polygon(*corners: tuple[float, float]) -> np.ndarray:
    """Returns the points from which a ray crosses the sides an odd number of times."""
    inside = np.zeros_like(_X, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 != y1:
            crossing = x0 + (_Y - y0) * (x1 - x0) / (y1 - y0)
            inside ^= ((y0 > _Y) != (y1 > _Y)) & (crossing > _X)
    return inside


def _regular(corners: int, *radii: float) -> np.ndarray:
    """Returns a polygon with a corner on top, whose corners take turns in their radius."""
    angles = np.pi / 2 + 2 * np.pi * np.arange(corners) / corners
    lengths = np.resize(radii, corners)
    return _polygon(*zip(lengths * np.cos(angles), lengths * np.sin(angles), strict=True))


def _heart() -> np.ndarray:
    x, y = 1.2 * _X, 1.2 * _Y + 0.1
    heart: np.ndarray = (x**2 + y**2 - 1) ** 3 < x**2 * y**3
    return heart


def _bell() -> np.ndarray:
    body = np.abs(_X) < 0.4 + 0.45 * np.clip(-_Y, 0, 1) ** 2
    bell: np.ndarray = (body & _box(-1, -0.7, 1, 0.5)) | _disk(0, 0.5, 0.4) | _disk(0, -0.8, 0.2)
    return bell


_MASKS: dict[str, Callable[[], np.ndarray]] = {
    "circle": _disk,
    "square": lambda: _box(-0.8, -0.8, 0.8, 0.8),
    "triangle": lambda: _polygon((0, 0.95), (-0.95, -0.75), (0.95, -0.75)),
    "star": lambda: _regular(10, 1.05, 0.45),
    "heart": _heart,
    "diamond": lambda: _regular(4, 1.05, 0.7),
    "moon": lambda: _disk() & ~_disk(0.5, 0.15, 0.8),
    "cross": lambda: _box(-0.95, -0.32, 0.95, 0.32) | _box(-0.32, -0.95, 0.32, 0.95),
    "hexagon": lambda: _regular(6, 1),
    "ring": lambda: _disk() & ~_disk(radius=0.5),
    "drop": lambda: _disk(0, -0.35, 0.62) | _polygon((0, 1.05), (-0.56, -0.1), (0.56, -0.1)),
    "bolt": lambda: _polygon(
        (0.35, 1), (-0.65, -0.1), (-0.1, -0.1), (-0.35, -1), (0.65, 0.2), (0.1, 0.2)
    ),
    "fish": lambda: (
        (((_X + 0.2) / 0.75) ** 2 + (_Y / 0.5) ** 2 < 1) | _polygon((0.3, 0), (1, 0.5), (1, -0.5))
    ),
    "bell": _bell,
    "cup": lambda: _box(-0.8, -0.85, 0.8, 0.85) & ~_box(-0.35, -0.4, 0.35, 1),
    "bar": lambda: _box(-1.05, -0.32, 1.05, 0.32),
    "arrow": lambda: _box(-1, -0.25, 0.2, 0.25) | _polygon((0.1, 0.75), (0.1, -0.75), (1.05, 0)),
}


def _glyph(bitmap: np.ndarray) -> np.ndarray:
    rows, columns = bitmap.shape
    row = np.floor((1 - _Y) / 2 * rows).astype(int)
    column = np.floor((_X + columns / rows) / 2 * rows).astype(int)
    padded = np.pad(bitmap, 1)
    glyph: np.ndarray = padded[np.clip(row + 1, 0, rows + 1), np.clip(column + 1, 0, columns + 1)]
    return glyph


def _blob(name: str) -> np.ndarray:
    rng = np.random.default_rng(derive_seed("blob", name))
    radius = np.full_like(_X, 0.7)
    for waves in (1, 2, 3, 5):
        radius += 0.4 / waves**0.5 * rng.uniform(-1, 1) * np.cos(waves * _ANGLE + 7 * rng.random())
    blob: np.ndarray = np.hypot(_X, _Y) < np.clip(radius, 0.25, 1.1)
    return blob
