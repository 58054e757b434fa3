"""Draws a part of the test samples, and says how much that alone may move a score."""

import numpy as np


def stratified(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns which samples to use, with the classes in proportion: int64 [size], sorted.

    Every sample has the same chance, whichever its class, so that an accuracy on the part is
    unbiased. A smaller part is in a larger one.

    Args:
        labels: The class of every sample: int [N].
        size: How many to draw, at most N.
        seed: Another one draws others.

    >>> labels = np.array([0] * 60 + [1] * 40)
    >>> np.bincount(labels[stratified(labels, 10, seed=3)])
    array([6, 4])
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        # Systematic: the samples of a class lie evenly between 0 and 1, from a random start.
        place[rng.permutation(mine)] = (np.arange(len(mine)) + rng.random()) / len(mine)
    return np.sort(np.argsort(place, kind="stable")[:size])


def sampling_error(values: np.ndarray, of: int) -> float:
    """Returns the standard error of a mean over some of a fixed number of samples.

    That of simple draws without replacement (Cochran, "Sampling Techniques", 1977, section 2.5).
    Where classes stand in proportion it errs on the safe side.

    Args:
        values: What was measured on the samples drawn: float [n].
        of: How many there are to draw from.

    >>> round(sampling_error(np.array([0.0, 1.0] * 50), of=200), 4)
    0.0355
    """
    n = len(values)
    if n < 2 or n >= of:
        return 0.0
    return float(np.std(values, ddof=1) / np.sqrt(n) * np.sqrt(1 - n / of))
