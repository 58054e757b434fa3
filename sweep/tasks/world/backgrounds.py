"""Paints backgrounds: plain tints, and scenes."""

from collections.abc import Callable, Sequence

import numpy as np

from sweep.tasks.world.colors import COLORS, PAPER, RGB

Mixture = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Coordinates x [W] and y [H, 1] in [-1, 1], a phase per image [N, 1, 1] and noise in [0, 1]
[N, H, W], to the share of a scene's second color: [N, H, W] in [0, 1]."""

TINTS: dict[str, RGB] = {
    "black": (0.05, 0.05, 0.07),
    "navy": (0.05, 0.06, 0.32),
    "grey": (0.48, 0.48, 0.5),
    "cream": (0.95, 0.9, 0.75),
    "rose": (0.62, 0.32, 0.38),
    "paper": PAPER,
}
SCENES: dict[str, tuple[RGB, RGB, Mixture]] = {
    "grass": ((0.05, 0.3, 0.05), (0.2, 0.65, 0.15), lambda x, y, phase, noise: noise),
    "sea": (
        (0.05, 0.25, 0.6),
        (0.2, 0.55, 0.85),
        lambda x, y, phase, noise: 0.5 + 0.5 * np.sin(9 * y + 1.5 * np.sin(5 * x + phase)),
    ),
    "sand": (
        (0.75, 0.55, 0.3),
        (0.95, 0.8, 0.55),
        lambda x, y, phase, noise: 0.4 + 0.3 * np.sin(4 * x + 7 * y + phase) + 0.3 * noise,
    ),
    "snow": ((0.75, 0.82, 0.92), (1.0, 1.0, 1.0), lambda x, y, phase, noise: noise > 0.35),
    "forest": ((0.03, 0.2, 0.06), (0.15, 0.5, 0.15), lambda x, y, phase, noise: noise > 0.5),
    "lake": (
        (0.05, 0.28, 0.55),
        (0.2, 0.52, 0.78),
        lambda x, y, phase, noise: 0.5 + 0.4 * np.sin(20 * y + phase) + 0.1 * noise,
    ),
    "desert": (
        (0.75, 0.52, 0.3),
        (0.95, 0.77, 0.52),
        lambda x, y, phase, noise: np.sin(3 * x + phase) * 0.3 > y,
    ),
    "ice": (
        (0.72, 0.82, 0.95),
        (0.95, 1.0, 1.0),
        lambda x, y, phase, noise: 0.5 + 0.5 * np.sin(6 * x - 9 * y + phase),
    ),
}
_VISIBLE = 0.35
"""Least difference in one color channel, of 0 to 1, for a thing to stand out."""


def sets_off(background: str, color: str) -> bool:
    """Returns whether a thing of this color can be seen before this background."""
    behind = TINTS[background] if background in TINTS else np.mean(SCENES[background][:2], axis=0)
    return any(abs(a - b) > _VISIBLE for a, b in zip(COLORS[color], behind, strict=True))


def paint(names: Sequence[str], x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns backgrounds by name over the square grid x by x: float32 [N, len(x), len(x), 3]."""
    canvas = np.empty((len(names), len(x), len(x), 3), np.float32)
    for name in sorted(set(names)):
        of = [i for i, other in enumerate(names) if other == name]
        if name in TINTS:
            shift = rng.uniform(-0.06, 0.06, (len(of), 1, 1, 3))
            canvas[of] = np.asarray(TINTS[name]) + shift
        else:
            canvas[of] = _scene(*SCENES[name], len(of), x, rng)
    return canvas


def _scene(
    first: RGB, second: RGB, mixture: Mixture, count: int, x: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    noise = rng.random((count, len(x), len(x)), np.float32)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    share = mixture(x, x[:, None], phase, noise)[..., None].astype(np.float32)
    mixed: np.ndarray = np.asarray(first) + share * np.subtract(second, first)
    return mixed
