"""Computes contributions between tasks in the embedding space of the untouched backbone.

Sekeh & Wisell, "Understanding Cross-Modal Contributions in Continual Vision-Language Models" (2026,
arXiv 2606.14883). A contribution of task s to task t is the expected cosine of an image or a text
of s with an image or a text of t. No code and no closed form are published; here

    Con_XY(s, t) = E[<f_X(x), f_Y(y)>],  x of s, y of t,  X and Y each images (I) or texts (T),

with unit embeddings f and one text per image, that of its class. Choices that the paper leaves
open:

- Between two tasks x and y are drawn independently, so Con_XY(s, t) = <m_X(s), m_Y(t)>, the product
  of mean embeddings. Hence Con_TI is Con_IT transposed.
- Within a task, s = t, either draws are independent as well, and a sample is never paired with
  itself ("independent"), or every image goes with its own text and with itself ("matched").
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from sweep.similarity.embedded import Embedded

Draws = Literal["independent", "matched"]
PAIRS = ("image_text", "text_image", "image_image", "text_text")
"""Modality of the first task, then of the second."""


def contributions(tasks: Sequence[Embedded], pair: str, draws: Draws = "independent") -> np.ndarray:
    """Returns Con_XY, the mean cosine of X of every task with Y of every other: float [T, T].

    Args:
        tasks: Each with two or more samples.
        pair: One of PAIRS: X, then Y.
        draws: How x and y are drawn within a task; only the diagonal depends on it.
    """
    first, second = pair.split("_")
    mean_x = np.stack([task.samples(first).mean(axis=0) for task in tasks])
    mean_y = np.stack([task.samples(second).mean(axis=0) for task in tasks])
    table: np.ndarray = mean_x @ mean_y.T
    for k, task in enumerate(tasks):
        matched = float((task.samples(first) * task.samples(second)).sum(axis=1).mean())
        n = len(task.labels)
        table[k, k] = matched if draws == "matched" else (n * table[k, k] - matched) / (n - 1)
    return table


def centroid(tasks: Sequence[Embedded]) -> np.ndarray:
    """Returns cosines of the tasks' mean image embeddings: float [T, T]."""
    means = np.stack([task.images.mean(axis=0) for task in tasks])
    means = means / np.linalg.norm(means, axis=1, keepdims=True)
    cosines: np.ndarray = means @ means.T
    return cosines
