"""Scores orders by a similarity matrix before anything is trained.

S[i, j] is the similarity of task i to task j, in the direction i -> j if there is one; its diagonal
is ignored. Orders are rows of task numbers, int [m, L]; every function returns one number per
order, float [m]. Which orders are easy is a claim of the papers, and they contradict one another;
studies can test these claims.
"""

from collections.abc import Callable

import numpy as np


def path_cost(S: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Returns the sum of S[pi_k, pi_(k+1)] over neighbours; lower is claimed to be easier.

    With S the image-text contribution this is the cumulative contribution cost of theorem T3 of
    Sekeh & Wisell (2026, arXiv 2606.14883). Neighbours that differ are also the better ones for
    Bell & Lawrence (2022, arXiv 2205.13323) and by the max-path rule of Li & Hiratani (ICML 2025,
    arXiv 2502.03350).
    """
    total: np.ndarray = S[orders[:, :-1], orders[:, 1:]].sum(axis=1)
    return total


def adjacent(S: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Returns the mean of S[pi_k, pi_(k+1)]; under uniform orders its mean is that of S."""
    mean: np.ndarray = path_cost(S, orders) / (orders.shape[1] - 1)
    return mean


def lagged(S: np.ndarray, orders: np.ndarray, decay: float = 0.5) -> np.ndarray:
    """Returns the mean of S[pi_k, pi_l] over k < l with weights decay^(l - k - 1).

    Near decay 0 it is `adjacent`; at decay 1 it tells orders apart only if S is not symmetric.
    """
    length = orders.shape[1]
    first, second = np.triu_indices(length, k=1)
    weights = decay ** (second - first - 1.0)
    mean: np.ndarray = S[orders[:, first], orders[:, second]] @ weights / weights.sum()
    return mean


def typicality(S: np.ndarray) -> np.ndarray:
    """Returns the mean similarity of every task to all others, both directions: float [T]."""
    total = S + S.T
    mean: np.ndarray = (total.sum(axis=1) - total.diagonal()) / (2 * (len(S) - 1))
    return mean


def typicality_gradient(S: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Returns the correlation of position with typicality; higher is claimed to be easier.

    The periphery-to-core rule of Li & Hiratani: the least typical task first. 0 where all tasks
    are equally typical.
    """
    typical = typicality(S)[orders]
    typical = typical - typical.mean(axis=1, keepdims=True)
    position = np.arange(orders.shape[1]) - (orders.shape[1] - 1) / 2
    size = np.linalg.norm(typical, axis=1) * np.linalg.norm(position)
    flat = size < 1e-12
    gradient: np.ndarray = np.where(flat, 0.0, typical @ position / np.where(flat, 1.0, size))
    return gradient


def linear_error(
    inputs: np.ndarray, orders: np.ndarray, outputs: np.ndarray | None = None
) -> np.ndarray:
    """Returns the error per task of a linear student that learns the tasks to convergence.

    Li & Hiratani (arXiv 2502.03350): with the similarities of the tasks' inputs and outputs in
    the order's sequence, C_in and C_out, and U(C) the part of C strictly above its diagonal,

        error = || C_out^(1/2) (I - (I + U(C_in))^(-1) C_in) ||_F^2 / P

    in units of the error of a student that knows nothing. Exact for any C_in when the tasks'
    inputs are few directions in a large space.

    Args:
        inputs: C_in, positive semidefinite once its diagonal is 1.
        orders: Task numbers, int [m, P].
        outputs: C_out, likewise; by default equal to `inputs`.
    """
    C_in, C_out = (
        _unit_diagonal(S)[orders[:, :, None], orders[:, None, :]]
        for S in (inputs, inputs if outputs is None else outputs)
    )
    identity = np.eye(orders.shape[1])
    left = identity - np.linalg.solve(identity + np.triu(C_in, k=1), C_in)
    error: np.ndarray = np.einsum("mia,mij,mja->m", left, C_out, left) / orders.shape[1]
    return error


def _unit_diagonal(S: np.ndarray) -> np.ndarray:
    return S - np.diag(S.diagonal()) + np.eye(len(S))


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "path_cost": path_cost,
    "adjacent": adjacent,
    "lagged": lagged,
    "typicality_gradient": typicality_gradient,
    "linear_error": linear_error,
}
"""Scores of orders by name; the lower, the easier, except where a score's docstring differs."""
