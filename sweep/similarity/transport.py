"""Computes the optimal transport distance between data sets with unrelated labels.

Alvarez-Melis & Fusi, "Geometric Dataset Distances via Optimal Transport" (NeurIPS 2020, arXiv
2002.02923): the cost of moving the samples of one task onto those of the other, where moving (x, y)
to (x', y') costs

    |x - x'|^2 + W_2^2(a_y, a_y'),

a_y being the Gaussian fitted to the samples of class y. Where this differs from the paper, or the
paper leaves it open:

- x are image embeddings of the untouched backbone.
- The transport is solved exactly, not with an entropic penalty. Between equally many samples of
  equal weight it is an assignment; the larger task contributes evenly spaced samples.
- Covariances divide by the number of samples, so a class of one sample is a point.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from sweep.similarity.embedded import Embedded


def otdd(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns minus the optimal transport data set distance (squared, per sample): float [T, T]."""
    distance = np.zeros((len(tasks), len(tasks)))
    for i in range(len(tasks)):
        for j in range(i):
            distance[i, j] = distance[j, i] = _distance(tasks[i], tasks[j])
    return -distance


def _distance(a: Embedded, b: Embedded) -> float:
    number = min(len(a.labels), len(b.labels))
    rows, columns = (np.arange(number) * len(task.labels) // number for task in (a, b))
    between = _between_classes(a, b)[a.labels[rows][:, None], b.labels[columns]]
    products = a.images[rows] @ b.images[columns].T
    cost = 2 - 2 * products + between  # embeddings have length one
    return float(cost[linear_sum_assignment(cost)].mean())


def _between_classes(a: Embedded, b: Embedded) -> np.ndarray:
    """Returns W_2^2 between the Gaussians of every class of a and of b: [C, C'].

    tr (A^(1/2) B A^(1/2))^(1/2) is the nuclear norm of X Y^T / sqrt(n m) for centred samples X [n,
    D] and Y [m, D], which is small where classes are.
    """
    found = np.full((len(a.texts), len(b.texts)), np.inf)
    of_b = [(c, *_gaussian(b, c)) for c in np.unique(b.labels)]
    for c in np.unique(a.labels):
        mean, centred = _gaussian(a, c)
        for other, other_mean, other_centred in of_b:
            apart = ((mean - other_mean) ** 2).sum()
            spread = (centred**2).sum() + (other_centred**2).sum()
            common = np.linalg.norm(centred @ other_centred.T, "nuc")
            found[c, other] = apart + spread - 2 * common
    return found


def _gaussian(task: Embedded, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean [D] and the centred samples over sqrt(n) [n, D] of a class."""
    samples = task.images[task.labels == label]
    mean = samples.mean(axis=0)
    return mean, (samples - mean) / np.sqrt(len(samples))
