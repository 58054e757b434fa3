"""Loads handwritten digits: the scans that come with scikit-learn.

Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, UCI, 1998): 1 797 scans of 8x8
pixels in 17 levels of grey.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import numpy as np
from scipy.ndimage import zoom

from sweep.tasks.world.stencils import EXTENT, RESOLUTION
from sweep.tasks.world.words import DIGITS

Part = Literal["train", "test"]

_TRAIN_SHARE = 0.7
"""Share of the scans that is for training."""


@cache
def scans(part: Part) -> Mapping[str, Sequence[np.ndarray]]:
    """Returns the stencils of one part of the scans by digit.

    The first 70 % of the scans are for training, the others for testing.
    """
    from sklearn.datasets import load_digits  # slow to import, and seldom needed

    grey, labels = load_digits(return_X_y=True)
    border = round(_TRAIN_SHARE * len(labels))
    chosen = slice(0, border) if part == "train" else slice(border, None)
    stencils = _stencils(grey[chosen].reshape(-1, 8, 8) / 16)
    return {
        word: list(stencils[labels[chosen] == digit]) for digit, word in enumerate(DIGITS.words)
    }


def _stencils(grey: np.ndarray) -> np.ndarray:
    """Returns heights with half grey as outline, so that rendering keeps the levels of grey."""
    bottom_row_first = np.pad(grey[:, ::-1], ((0, 0), (1, 1), (1, 1)))
    factor = RESOLUTION / bottom_row_first.shape[1]
    smooth: np.ndarray = zoom(bottom_row_first, (1, factor, factor), order=1)
    one_scan_pixel = 2 * EXTENT / bottom_row_first.shape[1]
    heights: np.ndarray = ((smooth - 0.5) * one_scan_pixel).astype(np.float32)
    return heights
