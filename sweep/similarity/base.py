"""Defines what a measure of similarity is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Material = Literal["embeddings", "gradients", "experts"]
"""What similarity can be computed from."""


@dataclass(frozen=True)
class Measure:
    """A number for every ordered pair of tasks; higher where they are more alike.

    >>> from sweep.registry import resolve
    >>> resolve("measures", "centroid").material
    'embeddings'
    """

    material: Material
    """What it is computed from: embeddings of the untouched backbone (one forward pass), gradients
    of the untouched backbone, or one expert per task, which is trained first."""
    compute: Callable[..., np.ndarray]
    """Returns S, float [T, T]: S[i, j] is the similarity of task i to task j. Takes a sequence of
    `embedded.Embedded`; or the backbone, the weights that full fine-tuning trains and a sequence of
    `sampled.Sampled`; or `experts.Experts`."""
    direction: str = ""
    """Which properties of task and other S[task, other] compares; "" if it is symmetric."""
    needs_classes: bool = False
    """Whether every task must have one list of choices for all samples."""
