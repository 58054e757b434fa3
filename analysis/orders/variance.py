"""Where the variance comes from: methods, orders, seeds; tasks, positions, predecessors.

With y[m, r, o] a metric of method m in replicate r on the o-th order of the replicate, the model
is y = mean + method + seed + order + their interactions, all random. Each component is estimated
from expected mean squares, which is exact for the balanced tables that studies give.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.data.results import Results, as_runs
from analysis.inference.replicates import complete_replicates
from analysis.orders.ranking import paired_values

FACTORS = ("method", "seed", "order")
"""The axes of y."""
Effect = tuple[str, ...]


def variance_components(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns the variance of a metric by source, over all methods of a backbone.

    Counted are the runs that every method has. When all replicates hold the same orders, the
    order is a factor of its own; otherwise it is one inside its replicate, and the interaction of
    seed and order cannot be told from it ("seed:order" then is the order).

    Args:
        runs: what `metrics` returns.
        metric: a column of it.

    Returns:
        One row per (backbone, source): effect ("method", "seed:order", ...), variance (truncated
        at 0), share (of their sum), truncated (whether the estimate was negative), levels (how
        many methods, seeds and orders per seed there are).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> variance_components(runs)[["effect", "share"]].round(3)
                  effect  share
    0             method  0.897
    1              order  0.098
    2               seed  0.002
    3       method:order  0.001
    4        method:seed  0.000
    5         seed:order  0.002
    6  method:seed:order  0.000
    """
    rows = []
    for backbone, group in runs.groupby("backbone"):
        y, crossed = _balanced(group, metric)
        if min(y.shape) == 0 or y.shape[0] < 2 or y[0].size < 2:
            continue
        found = components(y, crossed)
        total = sum(max(0.0, value) for value in found.values())
        for effect, value in found.items():
            rows.append(
                {
                    "backbone": backbone,
                    "effect": ":".join(effect),
                    "variance": max(0.0, value),
                    "share": max(0.0, value) / total if total else np.nan,
                    "truncated": value < 0,
                    "methods": y.shape[0],
                    "seeds": y.shape[1],
                    "orders": y.shape[2],
                }
            )
    names = ["backbone", "effect", "variance", "share", "truncated", "methods", "seeds", "orders"]
    return pd.DataFrame(rows, columns=names)


def components(y: ArrayLike, crossed: bool) -> dict[Effect, float]:
    """Returns variance components of a balanced y [methods, seeds, orders], maybe negative.

    The mean square of an effect A estimates the sum over effects B that contain A of
    sigma_B^2 times the number of runs per level of B; the components follow one by one, the
    highest interaction first.

    Args:
        y: without gaps.
        crossed: whether o is the same order in every replicate; otherwise orders lie in seeds.
    """
    y = np.asarray(y, float)
    levels = dict(zip(FACTORS, y.shape, strict=True))
    varying = [factor for factor in FACTORS if levels[factor] > 1]
    squares: dict[Effect, float] = defaultdict(float)
    degrees: dict[Effect, int] = defaultdict(int)
    for effect in _subsets(varying):
        home = effect
        if "order" in effect and "seed" in varying and not crossed:
            home = tuple(factor for factor in FACTORS if factor in (*effect, "seed"))
        squares[home] += float((_interaction(y, effect) ** 2).sum())
        degrees[home] += int(np.prod([levels[factor] - 1 for factor in effect]))
    found: dict[Effect, float] = {}
    for effect in sorted(squares, key=len, reverse=True):
        above = sum(
            value * _runs_per_level(levels, other)
            for other, value in found.items()
            if set(effect) < set(other)
        )
        mean_square = squares[effect] / degrees[effect]
        found[effect] = (mean_square - above) / _runs_per_level(levels, effect)
    return {effect: found[effect] for effect in sorted(found, key=lambda e: (len(e), e))}


def _subsets(factors: Sequence[str]) -> Iterable[Effect]:
    for size in range(1, len(factors) + 1):
        yield from combinations(factors, size)


def _interaction(y: np.ndarray, effect: Effect) -> np.ndarray:
    """Returns the effect of every run, by inclusion and exclusion of marginal means."""
    total = np.zeros_like(y)
    for size in range(len(effect) + 1):
        for part in combinations(effect, size):
            axes = tuple(i for i, factor in enumerate(FACTORS) if factor not in part)
            total += (-1) ** (len(effect) - size) * y.mean(axis=axes, keepdims=True)
    return total


def _runs_per_level(levels: dict[str, int], effect: Effect) -> int:
    return int(np.prod([n for factor, n in levels.items() if factor not in effect]))


def _balanced(runs: pd.DataFrame, metric: str) -> tuple[np.ndarray, bool]:
    """Returns the table y of the runs that all methods have, and whether it is crossed."""
    wide = paired_values(runs, metric)
    blocks = [block for _, block in wide.groupby(level="replicate")]
    num = min((len(block) for block in blocks), default=0)
    same = {tuple(sorted(block.index.get_level_values("order"))) for block in blocks}
    if not num:
        return np.empty((wide.shape[1], 0, 0)), False
    y = np.stack([block.sort_index().to_numpy()[:num] for block in blocks])
    return y.transpose(2, 0, 1), len(same) == 1 and len(blocks) > 1


def reliability(found: pd.DataFrame, seeds: int, orders: int) -> tuple[float, float]:
    """Returns generalisability G and dependability Phi of a study of that size.

    G = s_M / (s_M + error), with s_M the variance between methods and as error what the
    interactions of the method leave after averaging: how well the study ranks methods. Phi also
    counts the main effects of seed and order as error: how well it places them (Cronbach et al.
    1972, Brennan 2001).

    Args:
        found: the components of one backbone, as `variance_components` returns them.
        seeds: number of replicates.
        orders: orders of one replicate.
    """
    number = {"method": 1, "seed": seeds, "order": orders}
    method = relative = absolute = 0.0
    for effect, variance in zip(found["effect"], found["variance"], strict=True):
        parts = effect.split(":")
        left = variance / np.prod([number[part] for part in parts])
        if parts == ["method"]:
            method = variance
        elif "method" in parts:
            relative += left
        else:
            absolute += left
    if method == 0:
        return 0.0, 0.0
    return method / (method + relative), method / (method + relative + absolute)


def d_study(
    found: pd.DataFrame, seeds: Sequence[int] | None = None, orders: Sequence[int] | None = None
) -> pd.DataFrame:
    """Returns how reliable other sizes of study would be, to choose between orders and seeds.

    Args:
        found: what `variance_components` returns.
        seeds: numbers of replicates to look at; by default from 1 to four times what there is.
        orders: orders per replicate, likewise.

    Returns:
        One row per (backbone, seeds, orders): runs (per method), g, phi (see `reliability`),
        current (whether this is the size of the study).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> found = d_study(variance_components(runs), seeds=[4, 8], orders=[6])
    >>> found[["seeds", "orders", "g"]].round(3)
       seeds  orders    g
    0      4       6  1.0
    1      8       6  1.0
    """
    rows = []
    for backbone, part in found.groupby("backbone"):
        now = (int(part["seeds"].iloc[0]), int(part["orders"].iloc[0]))
        for s in seeds or _sizes(now[0]):
            for o in orders or _sizes(now[1]):
                g, phi = reliability(part, s, o)
                size = {"backbone": backbone, "seeds": s, "orders": o, "runs": s * o}
                rows.append(size | {"g": g, "phi": phi, "current": (s, o) == now})
    names = ["backbone", "seeds", "orders", "runs", "g", "phi", "current"]
    return pd.DataFrame(rows, columns=names)


def _sizes(now: int) -> list[int]:
    return sorted({1, 2, 3, 5, 8, 12, now, 2 * now, 4 * now})


def task_factors(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns what the final accuracy on a task depends on: task, position, predecessor.

    Least squares of R[T, i] on dummies of task, position, predecessor (the task learnt just
    before; none for the first) and replicate, per method. SS of a factor is what the others do
    not explain (type II), and omega^2 = (SS - df MS_e) / (SS_total + MS_e), truncated at 0.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, factor): df, ss, omega2, observations.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> task_factors(results, runs)[["method", "factor", "omega2"]].round(2).head(3)
         method       factor  omega2
    0  finetune         task    0.00
    1  finetune     position    0.40
    2  finetune  predecessor    0.01
    """
    rows = []
    for (backbone, method), group in runs.groupby(["backbone", "method"]):
        long = _final(results, complete_replicates(group))
        dummies = {
            factor: pd.get_dummies(long[factor], dtype=float).to_numpy()
            for factor in ("task", "position", "predecessor", "replicate")
        }
        y = long["accuracy"].to_numpy()
        left, rank = _residual(y, dummies.values())
        spare = len(y) - rank
        if spare <= 0:
            continue
        error = left / spare
        total = float(((y - y.mean()) ** 2).sum())
        for factor in dummies:
            others = [d for name, d in dummies.items() if name != factor]
            without, lower = _residual(y, others)
            ss, df = max(0.0, without - left), rank - lower
            omega = max(0.0, ss - df * error) / (total + error) if total > 1e-15 else 0.0
            head = {"backbone": backbone, "method": method, "factor": factor}
            rows.append(head | {"df": df, "ss": ss, "omega2": omega, "observations": len(y)})
    names = ["backbone", "method", "factor", "df", "ss", "omega2", "observations"]
    return pd.DataFrame(rows, columns=names)


def _residual(y: np.ndarray, dummies: Iterable[np.ndarray]) -> tuple[float, int]:
    """Returns the sum of squares that a model with these dummies leaves, and its rank."""
    X = np.column_stack([np.ones(len(y)), *dummies])
    solution, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    return float(((y - X @ solution) ** 2).sum()), int(rank)


def _final(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the final accuracy on every task of every run, with where the task stood."""
    rows = []
    for _, part in runs.groupby(runs["order"].map(len)):
        last = results.scores.matrices(as_runs(part))[:, -1]
        for order, replicate, values in zip(part["order"], part["replicate"], last, strict=True):
            before = ["", *order[:-1]]
            rows += list(
                zip(order, range(1, len(order) + 1), before, [replicate] * len(order), values,
                    strict=True)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "position", "predecessor", "replicate", "accuracy"])
