"""Applies photographic styles to pictures."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

FILTERS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "blurry photo": lambda canvas, rng: uniform_filter(canvas, (0, 5, 5, 0)),
    "pixelated photo": lambda canvas, rng: canvas[:, 2::4, 2::4].repeat(4, 1).repeat(4, 2),
    "noisy photo": lambda canvas, rng: canvas + rng.normal(0, 0.25, canvas.shape),
    "negative photo": lambda canvas, rng: 1 - canvas,
}


def develop(canvas: np.ndarray, styles: Sequence[str], rng: np.random.Generator) -> None:
    """Applies to every picture [N, H, W, 3] in [0, 1] the filter of its style, in place."""
    for style, filtered in FILTERS.items():
        of = [i for i, other in enumerate(styles) if other == style]
        if of:
            canvas[of] = filtered(canvas[of], rng)
