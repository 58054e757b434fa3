"""A metric of a run: the worst that ever happens to a task once it is learnt.

Average accuracy at the end hides what users meet on the way. "Average minimum accuracy" is from
De Lange et al., "Continual evaluation for lifelong learning" (ICLR 2023, arXiv 2205.13452), who
look after every step; here it is after every task.
"""

import numpy as np

from analysis import Metric


def minimum_accuracy(R: np.ndarray) -> np.ndarray:
    """Mean over i < T of the minimum over k > i of R[k, i].

    R is [runs, T + 1, T]: the score on task i after k tasks, in learning order.
    """
    T = R.shape[-1]
    if T < 2:
        return np.full(R.shape[:-2], np.nan)
    lowest = np.stack([R[..., i + 2 :, i].min(axis=-1) for i in range(T - 1)], axis=-1)
    return np.asarray(lowest.mean(axis=-1))


MINIMUM_ACCURACY = Metric("minimum_accuracy", "Minimum accuracy", minimum_accuracy)
