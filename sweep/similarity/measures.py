"""Defines all measures of similarity.

Every measure returns S, float [T, T]: S[i, j] is the similarity of task i to task j, higher for
tasks that are more alike. Most need one forward pass of the untouched backbone; some its gradients,
and some one expert per task, which has to be trained first.

How well they detect a known similarity: rank correlation of the mean over pairs of tasks with the
dial of the embedded world (0: tasks share nothing, 1: all), for tiny-clip and four tasks of 128
images, with a 95 % interval over seeds of the world (six, three for gradients and experts); and
what they cost, in stages of training (benchmarks/similarity_measures.py).

    centroid     1.00 +- 0.00  0.00      task2vec           0.98 +- 0.08  0.70
    prototype    1.00 +- 0.00  0.00      curvature         -0.31 +- 1.64  6.90
    frechet      1.00 +- 0.00  0.00
    otdd         1.00 +- 0.00  0.03      task_vector        1.00 +- 0.00  0.02
    image_image  0.98 +- 0.03  0.00      transfer           0.89 +- 0.25  0.56
    cka          0.97 +- 0.03  0.00      expert_curvature   0.77 +- 0.74  6.96
    names        0.75 +- 0.22  0.00      logme              0.62 +- 0.78  0.61
    text_text    0.72 +- 0.19  0.00
    image_text   0.40 +- 0.73  0.00      the forward pass                 0.17
    text_image   0.40 +- 0.73  0.00      training four experts            4.40
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from sweep.similarity.base import Measure
from sweep.similarity.embedded import Embedded
from sweep.similarity.experts import (
    expert_curvature,
    expert_logme,
    task_vector,
    transfer,
)
from sweep.similarity.gradients import curvature, task2vec
from sweep.similarity.mean_cosines import centroid, contributions
from sweep.similarity.transport import otdd


def prototype(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns how close the nearest class of j is to each class of i, on average.

    It is the mean over the classes of i of the largest cosine of the class's mean image embedding
    with that of a class of j. Classes without a sample do not count.
    """
    prototypes = [_prototypes(task) for task in tasks]
    return np.array([[(a @ b.T).max(axis=1).mean() for b in prototypes] for a in prototypes])


def _prototypes(task: Embedded) -> np.ndarray:
    means = np.stack([task.images[task.labels == c].mean(axis=0) for c in np.unique(task.labels)])
    unit: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def frechet(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns minus the Frechet distance of Gaussians fitted to the image embeddings.

    |m_i - m_j|^2 + tr(C_i + C_j - 2 (C_i C_j)^(1/2)) (Dowson & Landau 1982; Heusel et al., NeurIPS
    2017, arXiv 1706.08500), with this backbone's embeddings instead of Inception's. The trace of
    the root is the sum of the singular values of C_i^(1/2) C_j^(1/2), which exists for singular C.
    """
    means = [task.images.mean(axis=0) for task in tasks]
    roots = [_root(np.cov(task.images.T)) for task in tasks]
    distance = np.zeros((len(tasks), len(tasks)))
    for i in range(len(tasks)):
        for j in range(i):
            apart = ((means[i] - means[j]) ** 2).sum()
            spread = (roots[i] ** 2).sum() + (roots[j] ** 2).sum()
            common = np.linalg.svd(roots[i] @ roots[j], compute_uv=False).sum()
            distance[i, j] = distance[j, i] = apart + spread - 2 * common
    return -distance


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    return root


def cka(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns linear CKA of image embeddings, with the D dimensions as common examples.

    CKA (Kornblith et al., ICML 2019, arXiv 1905.00414) compares two sets of features of the same
    examples. Tasks have no examples in common, so dimensions take their place. CKA is then the
    cosine of the two covariance matrices: 1 if both tasks vary in the same directions by the same
    proportions.
    """
    flat = np.stack([np.cov(task.images.T).ravel() for task in tasks])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    cosines: np.ndarray = flat @ flat.T
    return cosines


def names(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns the mean cosine of the text embeddings of class names, over pairs of classes."""
    means = np.stack([task.names.mean(axis=0) for task in tasks])
    cosines: np.ndarray = means @ means.T
    return cosines


IMAGE_TEXT, TEXT_IMAGE, IMAGE_IMAGE, TEXT_TEXT = (
    Measure("embeddings", partial(contributions, pair=pair), direction)
    for pair, direction in {
        "image_text": "images of task, texts of other",
        "text_image": "texts of task, images of other",
        "image_image": "",
        "text_text": "",
    }.items()
)
CENTROID = Measure("embeddings", centroid)
PROTOTYPE = Measure("embeddings", prototype, "classes of task, met by classes of other")
FRECHET = Measure("embeddings", frechet)
OTDD = Measure("embeddings", otdd)
CKA = Measure("embeddings", cka)
NAMES = Measure("embeddings", names)
TASK2VEC = Measure("gradients", task2vec)
CURVATURE = Measure("gradients", curvature, "loss of task, along the gradient of other")
TASK_VECTOR = Measure("experts", task_vector)
TRANSFER = Measure("experts", transfer, "expert of task, score on other")
LOGME = Measure(
    "experts", expert_logme, "features of the expert of task, labels of other", needs_classes=True
)
EXPERT_CURVATURE = Measure(
    "experts", expert_curvature, "loss of task at its expert, along the gradient of other"
)
