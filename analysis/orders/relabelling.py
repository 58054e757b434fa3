"""Could it be chance? Tests of statistics over orders, by calling the tasks otherwise.

A study has few tasks, and what an order does to them is the same in all of its replicates. An
interval over replicates therefore says how well a slope is known for these tasks; it does not say
that a score has anything to do with them: a score that is made up has a slope, too, and with many
replicates it is known as exactly as any other. What tells the two apart is the law of the same
number when the tasks of the score are permuted.
"""

from itertools import permutations
from math import factorial

import numpy as np

from analysis.inference.replicates import centred

EXACT = 6
"""Tasks up to which all permutations are tried."""
DRAWS = 1999
"""Of tasks, in every replicate, to test a model of the order."""
EQUAL = 1e-9
"""Relative difference of numbers that are the same but for rounding."""


def task_permutations(num_tasks: int, num: int) -> np.ndarray:
    """Returns permutations of the tasks, the identity first: all of them, or so many at random."""
    if num_tasks <= EXACT or factorial(num_tasks) <= num:
        return np.array(list(permutations(range(num_tasks))))
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(num_tasks) for _ in range(num)]
    return np.array([np.arange(num_tasks), *drawn])


def share_as_large(values: np.ndarray) -> float:
    """Returns the share of values that are at least the first, which is one of them; NaN if it is.

    >>> share_as_large(np.array([2.0, 1.0, 3.0, 2.0]))
    0.75
    """
    if np.isnan(values[0]):
        return np.nan
    return float(np.mean(values >= values[0] - EQUAL * abs(values[0])))


def model_p(features: np.ndarray, y: np.ndarray, replicate: np.ndarray, axes: int) -> float:
    """Returns the p value of what the replicates agree on about the order.

    With v_r the sum over the runs of replicate r of features times y, both less their means in the
    replicate, the replicates agree by sum over r != s of <v_r, v_s>. If the order does nothing,
    they agree no more than replicates whose tasks are permuted, in each of them otherwise.

    Args:
        features: [runs, T, T], of tasks and places or of tasks and tasks.
        y: [runs].
        replicate: of every run.
        axes: how many of the last two axes are tasks, 1 or 2.
    """
    T, rng = features.shape[1], np.random.default_rng(0)
    x, y = centred(features, replicate), centred(y, replicate)
    total = np.zeros((DRAWS + 1, T, T))
    for r in np.unique(replicate):
        v = np.tensordot(y[replicate == r], x[replicate == r], 1)
        drawn = rng.permuted(np.tile(np.arange(T), (DRAWS, 1)), axis=1)
        names = np.vstack([np.arange(T), drawn])
        total += v[names[:, :, None], names[:, None, :]] if axes == 2 else v[names]
    # The squares of the single v_r are the same whatever the tasks are called.
    return share_as_large((total**2).sum(axis=(1, 2)))


def slope_p(x: np.ndarray, score: np.ndarray, y: np.ndarray, num: int = 999) -> float:
    """Returns the p value, two-sided, of a score of the order that is a sum over pairs of tasks.

    The partial correlation of score and y is compared with that of the same score with its tasks
    permuted, which has as little to do with y as a score that is made up.

    Args:
        x: how often every pair of tasks counts in every run, [runs, T * T], freed of replicates
            and covariates.
        score: of pairs of tasks [T, T]; the diagonal is ignored.
        y: [runs], freed likewise.
        num: random permutations, where there are more than EXACT tasks.
    """
    score = np.where(np.eye(len(score), dtype=bool), 0, score)
    names = task_permutations(len(score), num)
    scores = score[names[:, :, None], names[:, None, :]].reshape(len(names), -1)
    predicted = x @ scores.T
    length = np.sqrt((predicted**2).sum(axis=0))
    length = np.where(length > EQUAL * np.abs(scores).max(), length, np.inf)
    return share_as_large(np.abs(y @ predicted) / length)
