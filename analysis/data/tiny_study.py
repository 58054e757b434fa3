"""A made-up study for examples: computed at once, and rich enough to have effects."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd

from analysis.data.accuracy_matrices import combine, from_matrices
from analysis.data.results import STAGE, Results

TASKS = ("cars", "pets", "textures")
KEPT = {"finetune": 0.6, "replay": 0.9}
"""Share of what a method knows of a task that survives learning the next one, on average."""
LEFT = {"none": 0.1, "image": 0.7, "text": 0.2, "image+text": 1.0}
"""Share of accuracy that is left with some of the modalities."""


def tiny_study(replicates: int = 4) -> Results:
    """Returns made-up results of two methods on three tasks in all orders.

    >>> results = tiny_study()
    >>> sorted(set(results.runs["method"])), len(results.runs)
    (['finetune', 'replay'], 48)
    """
    orders = list(permutations(TASKS))
    blocks = [r for r in range(replicates) for _ in orders]
    results = combine(
        {
            method: from_matrices(
                [_matrix(kept, order, r) for r in range(replicates) for order in orders],
                orders * replicates,
                method,
                replicates=blocks,
                backbone="clip",
            )
            for method, kept in KEPT.items()
        }
    )
    known = results.stages
    shares = [
        known.assign(split="modality", metric=coalition, value=share * known["value"])
        for coalition, share in LEFT.items()
    ]
    stages = pd.concat([known, *shares], ignore_index=True)
    return replace(results, stages=stages, embedded=_embeddings(known))


def _matrix(kept: float, order: tuple[str, ...], replicate: int) -> np.ndarray:
    """Returns R [T + 1, T]; textures destroy more than cars, and replicates differ a little."""
    numbers = [TASKS.index(task) for task in order]
    R = [np.array([0.30 + 0.05 * number for number in numbers])]
    for k, number in enumerate(numbers):
        kept_now = kept - 0.1 * number + 0.01 * ((7 * replicate + 3 * number) % 5)
        row = np.where(np.arange(len(numbers)) < k, 0.2 + kept_now * (R[-1] - 0.2), R[-1])
        row[k] = 0.9 - 0.05 * number + 0.004 * replicate
        R.append(row)
    return np.array(R).round(6)


def _embeddings(stages: pd.DataFrame) -> pd.DataFrame:
    """Returns mean embeddings in the plane, which turn a little with every stage."""
    found = stages[[*STAGE, "eval_task"]].drop_duplicates()
    parts = []
    for shift, modality in enumerate(("image", "text")):
        task = found["eval_task"].map(TASKS.index)
        turned = [
            (r + 3 * sum(map(TASKS.index, prefix)) + 3 * len(prefix) ** 2) * bool(prefix) / 100
            for r, prefix in zip(found["replicate"], found["prefix"], strict=True)
        ]
        angle = 0.6 * task + 0.2 * shift + (1 + shift) * np.array(turned)
        vectors = list(np.column_stack([np.cos(angle), np.sin(angle)]))
        parts.append(found.assign(modality=modality, vector=pd.Series(vectors, found.index)))
    return pd.concat(parts, ignore_index=True)
