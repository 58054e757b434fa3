"""Results from bare accuracy matrices, such as published ones."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.results import ORDERS_SCHEMA, RESULTS_SCHEMA, Results

Matrices = Mapping[tuple[str, int, tuple[str, ...]], ArrayLike]
"""{(method, replicate, order): R}."""


def from_matrices(matrices: Matrices, backbone: str = "unnamed") -> Results:
    """The results that accuracy matrices amount to.

    Args:
        matrices: R [T + 1, T] in fractions, columns in learning order, row 0 = the untouched
            backbone. Every order counts as planned for every method.
        backbone: the name they are filed under.

    Raises:
        ValueError: a matrix has another shape, holds no fractions, or contradicts another one
            about a prefix that both share.
    """
    rows = [
        {
            "study": "matrices",
            "backbone": backbone,
            "method": method,
            "replicate": replicate,
            "seed": replicate,
            "prefix": prefix,
            "stage": len(prefix),
            "trained_task": prefix[-1] if prefix else None,
            "split": "task",
            "eval_task": task,
            "metric": "accuracy",
            "value": value,
            "status": "ok",
        }
        for (method, replicate, prefix, task), value in _scores(matrices).items()
    ]
    planned = dict.fromkeys((replicate, order) for _, replicate, order in matrices)
    orders = [
        {"design": "given", "block": replicate, "replicate": replicate, "order": order}
        for replicate, order in planned
    ]
    return Results(
        pd.DataFrame(rows, columns=RESULTS_SCHEMA.names),
        pd.DataFrame(orders, columns=ORDERS_SCHEMA.names),
    )


def _scores(matrices: Matrices) -> dict[tuple[str, int, tuple[str, ...], str], float]:
    """The accuracy of every (method, replicate, prefix, task)."""
    scores: dict[tuple[str, int, tuple[str, ...], str], float] = {}
    for (method, replicate, order), matrix in matrices.items():
        for k, row in enumerate(_checked(np.asarray(matrix, float), order)):
            for task, value in zip(order, row, strict=True):
                if scores.setdefault((method, replicate, order[:k], task), value) != value:
                    raise ValueError(
                        f"Two matrices of {method} disagree about {task} after "
                        f"{'>'.join(order[:k]) or 'stage 0'}; give them different replicates."
                    )
    return scores


def _checked(matrix: np.ndarray, order: tuple[str, ...]) -> np.ndarray:
    shape = (len(order) + 1, len(order))
    if matrix.shape != shape or not ((matrix >= 0) & (matrix <= 1)).all():
        raise ValueError(
            f"The matrix of order {'>'.join(order)} must hold fractions in shape {shape}; "
            f"got shape {matrix.shape}, values from {matrix.min():g} to {matrix.max():g}."
        )
    return matrix
