"""Why the order matters: models of a run's metric by its order, and what they predict.

Models of order-of-addition experiments (Van Nostrand 1995; Voelkel 2017, arXiv 1701.02786), fitted
by ridge regression on y minus its replicate's mean:

    precedence  y = sum over pairs i < j of b_ij z_ij, z = +1 if i comes before j, else -1
    position    y = sum over tasks of g_(j, pos(j))
    adjacency   y = sum over neighbours of a_(i, j), j learnt just after i

R2 is out of sample: every replicate is predicted by a model of the others, so a model with many
parameters cannot look better than it is. It may be negative: worse than the mean. Where the order
does nothing it is negative on average, but in single studies positive; whether it means anything
is what p says (see `relabelling.model_p`).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.inference.replicates import centred, with_same_tasks
from analysis.inference.significance import holm
from analysis.orders.relabelling import model_p
from analysis.run_metrics.metric import METRICS

PENALTIES = np.geomspace(1e-3, 1e3, 13)
"""Of the ridge, times the number of runs over the number of parameters."""
LARGEST = 12
"""Tasks up to which the best order is found exactly."""


def precedence(orders: np.ndarray) -> np.ndarray:
    """Returns signs z [runs, pairs] of orders of task numbers [runs, T]."""
    position = np.argsort(orders, axis=1)
    first, second = np.triu_indices(orders.shape[1], 1)
    return np.where(position[:, first] < position[:, second], 1.0, -1.0)


def position(orders: np.ndarray) -> np.ndarray:
    """Returns dummies [runs, T * T] of every task in its place."""
    T = orders.shape[1]
    return np.eye(T)[np.argsort(orders, axis=1)].reshape(len(orders), T * T)


def adjacency(orders: np.ndarray) -> np.ndarray:
    """Returns dummies [runs, T * T] of which task is learnt just after which."""
    T = orders.shape[1]
    dummies = np.zeros((len(orders), T * T))
    rows = np.arange(len(orders))
    for k in range(T - 1):
        dummies[rows, orders[:, k] * T + orders[:, k + 1]] = 1
    return dummies


MODELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "precedence": precedence,
    "position": position,
    "adjacency": adjacency,
}


def order_models(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns how much of a metric's variance between orders each model explains, and its advice.

    Args:
        runs: what `metrics` returns.
        metric: a column of it.

    Returns:
        One row per (backbone, method, model) of methods with at least three complete replicates
        whose orders hold the same tasks, and whose metric the order moves: r2 (out of sample, of
        the variance inside replicates), p (of no effect of the order that a model could see, see
        `relabelling.model_p`), p_holm (the same, corrected for all models and methods of a
        backbone), penalty, parameters, best_order and worst_order (predicted; None where there
        are too many tasks to search), runs.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> order_models(runs)[["method", "model", "r2", "best_order"]].round(2).head(1)
         method       model    r2              best_order
    0  finetune  precedence  0.95  (textures, pets, cars)
    """
    rows = []
    for used, tasks in with_same_tasks(runs.dropna(subset=metric)):
        orders = np.array([[tasks.index(task) for task in order] for order in used["order"]])
        replicate = used["replicate"].to_numpy()
        y = centred(used[metric].to_numpy(), replicate)
        if len(set(replicate)) < 3 or len(tasks) < 2 or y.std() < 1e-9:
            continue
        sign = METRICS[metric].sign
        for name, features in MODELS.items():
            X = features(orders)
            r2, penalty = _out_of_sample(X, y, replicate)
            weights = _ridge(X, y)[penalty]
            ends = _extreme_orders(name, sign * weights, len(tasks))
            rows.append(
                {name: used[name].iloc[0] for name in ("backbone", "method")}
                | {"model": name, "r2": r2, "p": _p(name, orders, y, replicate)}
                | {"penalty": PENALTIES[penalty], "parameters": X.shape[1]}
                | {
                    which: None if order is None else tuple(tasks[i] for i in order)
                    for which, order in zip(("best_order", "worst_order"), ends, strict=True)
                }
                | {"runs": len(y)}
            )
    found = pd.DataFrame(rows, columns=[name for name in _COLUMNS if name != "p_holm"])
    corrected = found.groupby("backbone")["p"].transform(holm).astype(float)
    return found.assign(p_holm=corrected)[_COLUMNS]


_COLUMNS = ["backbone", "method", "model", "r2", "p", "p_holm", "penalty", "parameters"]
_COLUMNS += ["best_order", "worst_order", "runs"]


def _p(model: str, orders: np.ndarray, y: np.ndarray, replicate: np.ndarray) -> float:
    """Returns the p value of a model; precedences as a table of tasks and tasks."""
    X, T = MODELS[model](orders), orders.shape[1]
    if model == "precedence":
        table = np.zeros((len(X), T, T))
        table[:, *np.triu_indices(T, 1)] = X
        X = table - table.swapaxes(1, 2)
    return model_p(X.reshape(-1, T, T), y, replicate, axes=1 if model == "position" else 2)


def _ridge(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns weights [penalties, parameters] of centred features; y has mean 0."""
    centred = X - X.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    scaled = PENALTIES[:, None] * len(X) / X.shape[1]
    projected = vectors.T @ (centred.T @ y)
    weights: np.ndarray = (projected / (values.clip(0) + scaled)) @ vectors.T
    return weights


def _out_of_sample(X: np.ndarray, y: np.ndarray, replicate: np.ndarray) -> tuple[float, int]:
    """Returns the R2 of predicting each replicate from the others, and the best penalty.

    The penalty of a fold is chosen inside the other replicates, which never see the one predicted.
    """
    left = 0.0
    for fold in np.unique(replicate):
        inside = replicate != fold
        penalty = _best_penalty(X[inside], y[inside], replicate[inside])
        left += _errors(X, y, inside)[penalty]
    return float(1 - left / (y**2).sum()), _best_penalty(X, y, replicate)


def _best_penalty(X: np.ndarray, y: np.ndarray, replicate: np.ndarray) -> int:
    """Returns the penalty with which replicates are best predicted from each other."""
    folds = np.unique(replicate)
    return int(np.argmin(sum(_errors(X, y, replicate != fold) for fold in folds)))


def _errors(X: np.ndarray, y: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns squared errors [penalties] on one replicate, from a model of those `inside`.

    Predictions are relative to the mean of the predicted replicate, as y is.
    """
    new = X[~inside] - X[~inside].mean(axis=0)
    predicted = new @ _ridge(X[inside], y[inside]).T
    errors: np.ndarray = ((y[~inside, None] - predicted) ** 2).sum(axis=0)
    return errors


def _extreme_orders(
    model: str, weights: np.ndarray, num: int
) -> tuple[Sequence[int] | None, Sequence[int] | None]:
    """Returns the orders with the highest and the lowest prediction."""
    if num > LARGEST:
        return None, None
    pairs, places, steps = np.zeros((3, num, num))
    if model == "precedence":
        pairs[np.triu_indices(num, 1)] = weights
        pairs -= pairs.T
    elif model == "position":
        places = weights.reshape(num, num)
    else:
        steps = weights.reshape(num, num)
    return best_order(pairs, places, steps), best_order(-pairs, -places, -steps)


def best_order(pairs: np.ndarray, places: np.ndarray, steps: np.ndarray) -> list[int]:
    """Returns the order with the highest sum of gains, by Held and Karp's dynamic programming.

    Args:
        pairs: [i, j] gained when i comes before j.
        places: [j, k] gained when j is in place k, from 0.
        steps: [i, j] gained when j comes just after i.
    """
    T = len(pairs)
    members = (np.arange(1 << T)[:, None] >> np.arange(T)) & 1
    after_all, size = members @ pairs, members.sum(axis=1)
    value, previous = np.full((1 << T, T), -np.inf), np.zeros((1 << T, T), int)
    value[1 << np.arange(T), np.arange(T)] = places[:, 0]
    for chosen in range(1, (1 << T) - 1):
        free = np.flatnonzero(members[chosen] == 0)
        onward = value[chosen][:, None] + steps[:, free]
        last = onward.argmax(axis=0)
        gained = after_all[chosen, free] + places[free, size[chosen]]
        value[chosen | 1 << free, free] = onward[last, np.arange(len(free))] + gained
        previous[chosen | 1 << free, free] = last
    order, chosen = [int(value[-1].argmax())], (1 << T) - 1
    while len(order) < T:
        last_task = order[-1]
        order.append(int(previous[chosen, last_task]))
        chosen -= 1 << last_task
    return order[::-1]
