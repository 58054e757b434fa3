"""Computes how much ink a texture puts on each point of a thing."""

from collections.abc import Callable, Sequence

import numpy as np

Texture = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Coordinates u, v and the distance to the outline h [N, H, W], all in units of the thing's
radius, and a phase per thing [N, 1, 1], to the share of ink: [N, H, W] in [0, 1]."""

TEXTURES: dict[str, Texture] = {
    "plain": lambda u, v, h, phase: np.ones_like(u),
    "striped": lambda u, v, h, phase: np.sin(7 * v + phase) > 0,
    "checkered": lambda u, v, h, phase: np.sin(5 * u + phase) * np.sin(5 * v + phase) > 0,
    "dotted": lambda u, v, h, phase: np.cos(8 * u + phase) + np.cos(8 * v + phase) < 0.6,
    "framed": lambda u, v, h, phase: h < 0.22,
    "ringed": lambda u, v, h, phase: np.cos(16 * h) > 0,
    "wavy": lambda u, v, h, phase: np.sin(8 * v + 2.5 * np.sin(4 * u + phase)) > 0,
    "shaded": lambda u, v, h, phase: np.clip(0.5 - 0.4 * u + 0.4 * v, 0, 1),
}


def ink(
    names: Sequence[str], u: np.ndarray, v: np.ndarray, h: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    """Returns the ink of N things with one texture each: float32 [N, H, W]."""
    result = np.empty_like(u)
    for name in sorted(set(names)):
        of = [i for i, other in enumerate(names) if other == name]
        result[of] = TEXTURES[name](u[of], v[of], h[of], phase[of])
    return result
