"""Proposes the order that a score predicts to be best or worst."""

import math
from itertools import permutations

import numpy as np

from sweep.errors import InputError, unknown
from sweep.similarity.bands import LISTED
from sweep.similarity.order_scores import SCORES
from sweep.similarity.paths import extreme_path, periphery_to_core


def propose(S: np.ndarray, score: str, best: bool) -> tuple[int, ...]:
    """Returns the order that a score calls the best or the worst of all, exactly.

    Args:
        S: Similarities, float [T, T].
        score: One of SCORES.
        best: Whether to return the best order, or the worst.

    Raises:
        InputError: there is no such score, or it needs all orders and there are too many.
    """
    if score not in SCORES:
        raise unknown("score", score, SCORES)
    if score in ("path_cost", "adjacent"):
        return extreme_path(S, largest=not best)
    if score == "typicality_gradient":
        rising = periphery_to_core(S)
        return rising if best else rising[::-1]
    if math.factorial(len(S)) > LISTED:
        raise InputError(
            f"score {score} has to try all orders, of which {len(S)} tasks have too many; it is "
            "limited to 8 tasks."
        )
    orders = np.array(list(permutations(range(len(S)))))
    values = SCORES[score](S, orders)
    found: list[int] = orders[values.argmin() if best else values.argmax()].tolist()
    return tuple(found)
