"""A measure of similarity: minus the maximum mean discrepancy of two tasks' image embeddings.

MMD (Gretton et al., JMLR 13, 2012) compares whole distributions, where a distance of centroids only
sees their means.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from sweep.similarity.base import Measure
from sweep.similarity.embedded import Embedded


def minus_mmd(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns minus the squared MMD (biased estimate): float64 [T, T].

    The Gaussian kernel's bandwidth is the median distance of all embeddings together.
    """
    images = [task.images for task in tasks]
    distances = [[cdist(a, b, "sqeuclidean") for b in images] for a in images]
    bandwidth = np.median(np.concatenate([d.ravel() for row in distances for d in row]))
    kernel = np.array([[np.exp(-d / bandwidth).mean() for d in row] for row in distances])
    own = np.diag(kernel)
    return 2 * kernel - own[:, None] - own[None, :]


MMD = Measure("embeddings", minus_mmd)
