"""Renders scenes to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweep.tasks.world.backgrounds import paint
from sweep.tasks.world.colors import RGB
from sweep.tasks.world.stencils import EXTENT, RESOLUTION
from sweep.tasks.world.styles import develop
from sweep.tasks.world.textures import ink

SIZE = 32
"""Height and width of every image."""

_GRID = ((np.arange(SIZE) + 0.5) * 2 / SIZE - 1).astype(np.float32)
_PIXEL = 2 / SIZE
"""Width of a pixel, in units of half the image."""
_NOISE = 0.03
"""Standard deviation of pixel noise, for values in [0, 1]."""
_TINGE = 0.1
"""Largest random shift of a thing's color, per channel."""
_AT_ONCE = 128  # fits the cache of a core


@dataclass(frozen=True)
class Thing:
    """Something to be painted; lengths in units of half the image, y upwards."""

    stencil: np.ndarray
    color: RGB
    x: float = 0.0
    y: float = 0.0
    radius: float = 0.5
    angle: float = 0.0
    texture: str = "plain"
    ground: RGB | None = None
    """Where the texture has no ink; by default the same colour, but dark."""


@dataclass(frozen=True)
class Scene:
    """A picture: the first thing is the one farthest away."""

    background: str
    things: tuple[Thing, ...] = ()
    style: str = "photo"


def render(scenes: Sequence[Scene], rng: np.random.Generator) -> np.ndarray:
    """Paints every scene: uint8 [N, SIZE, SIZE, 3]."""
    pixels = np.empty((len(scenes), SIZE, SIZE, 3), np.uint8)
    for start in range(0, len(scenes), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels[part] = _render(scenes[part], rng)
    return pixels


def _render(scenes: Sequence[Scene], rng: np.random.Generator) -> np.ndarray:
    canvas = paint([scene.background for scene in scenes], _GRID, rng)
    for layer in range(max(len(scene.things) for scene in scenes)):
        of = [i for i, scene in enumerate(scenes) if layer < len(scene.things)]
        things = [scenes[i].things[layer] for i in of]
        canvas[of] = _over(canvas[of], things, rng)
    develop(canvas, [scene.style for scene in scenes], rng)
    canvas += _NOISE * rng.standard_normal(canvas.shape, np.float32)
    top_row_first: np.ndarray = 255 * np.clip(canvas[:, ::-1], 0, 1) + 0.5
    return top_row_first.astype(np.uint8)


def _over(canvas: np.ndarray, things: Sequence[Thing], rng: np.random.Generator) -> np.ndarray:
    """Paints one thing over each picture, with soft edges one pixel wide."""
    u, v = _own_coordinates(things)
    h = _heights(np.stack([thing.stencil for thing in things]), u, v)
    phase = rng.uniform(0, 2 * np.pi, (len(things), 1, 1)).astype(np.float32)
    share = ink([thing.texture for thing in things], u, v, h, phase)[..., None]
    shift = rng.uniform(-_TINGE, _TINGE, (len(things), 1, 1, 3))
    color, ground = _column(things, "color") + shift, _grounds(things)
    coverage = np.clip(0.5 + h * _column(things, "radius") / _PIXEL, 0, 1)[..., None]
    painted: np.ndarray = canvas + coverage * (ground + share * (color - ground) - canvas)
    return painted


def _own_coordinates(things: Sequence[Thing]) -> tuple[np.ndarray, np.ndarray]:
    """Returns pixels in each thing's own frame, unturned, in units of its radius: [N, H, W]."""
    angle, radius = _column(things, "angle"), _column(things, "radius")
    x, y = _GRID - _column(things, "x"), _GRID[:, None] - _column(things, "y")
    cosine, sine = np.cos(angle) / radius, np.sin(angle) / radius
    return cosine * x + sine * y, cosine * y - sine * x


def _column(things: Sequence[Thing], name: str) -> np.ndarray:
    """Returns an attribute of all things, to broadcast over pixels: [N, 1, 1] or [N, 1, 1, 3]."""
    values = np.array([getattr(thing, name) for thing in things], np.float32)
    return values.reshape(len(things), 1, 1, *values.shape[1:])


def _grounds(things: Sequence[Thing]) -> np.ndarray:
    dark = 0.2
    grounds = [thing.ground or tuple(dark * channel for channel in thing.color) for thing in things]
    return np.array(grounds, np.float32).reshape(len(things), 1, 1, 3)


def _heights(stencils: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns the stencils [N, R, R] looked up at [N, H, W], clamped at the border."""
    row, column = (
        np.clip(np.rint((w / EXTENT + 1) * (RESOLUTION - 1) / 2), 0, RESOLUTION - 1).astype(np.intp)
        for w in (v, u)
    )
    found: np.ndarray = stencils[np.arange(len(stencils))[:, None, None], row, column]
    return found
