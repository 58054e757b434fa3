"""What learning one task does to another, and how much of that is decided by the order.

The gain contribution of task j to task i in a run is c_ij = R[pos(j), i] - R[pos(j)-1, i]: what
the stage that learns j does to the accuracy on i. One task is learnt per stage, so the c_ij of a
run add up to R[T, i] - R[0, i] without rest, and their mean over uniformly drawn orders is the
value of Nowak & Radzik (1994) of task j, the Shapley value of games in which order matters.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference import LEVEL, counted, is_whole
from analysis.results import Results, as_runs

HEAD = ["backbone", "method"]


def contributions(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """The gain contributions of every task to every other, over orders.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, trained, task): mean of c (of replicate means), low, high
        (t interval over replicates), order_sd (root of the mean variance inside replicates),
        before and after (mean of c when `trained` comes before and after `task`: transfer and
        interference), sign (share of runs in which c is above the evaluation noise minus share
        in which it is below: +1 always helps, -1 always harms, 0 the order decides), q05, runs.
    """
    rows = []
    for group, tasks, order, R in _matrices(results, runs):
        c = np.diff(R, axis=1)  # [runs, stage, task in learning order]
        replicate, num = group["replicate"].to_numpy(), len(tasks)
        position = np.argsort(order, axis=1)  # of every task
        c = np.take_along_axis(c, position[:, :, None], axis=1)
        c = np.take_along_axis(c, position[:, None, :], axis=2)
        earlier = position[:, :, None] < position[:, None, :]
        cell = np.broadcast_to(np.arange(num * num), (len(c), num * num)).ravel()
        table = pd.DataFrame(
            {"cell": cell, "replicate": np.repeat(replicate, num * num), "c": c.ravel()}
        )
        by_replicate = table.groupby(["replicate", "cell"])["c"]
        means = by_replicate.mean().unstack().to_numpy()
        low, high = _t_bounds(means) if is_whole(group) else (np.nan, np.nan)
        noise = _noise(results)
        found = pd.DataFrame(
            {
                "trained": np.repeat(tasks, num),
                "task": np.tile(tasks, num),
                "mean": means.mean(axis=0),
                "low": low,
                "high": high,
                "order_sd": np.sqrt(by_replicate.var(ddof=1).unstack().to_numpy().mean(axis=0)),
                "before": _mean_where(c, earlier).ravel(),
                "after": _mean_where(c, earlier.transpose(0, 2, 1)).ravel(),
                "sign": ((c > noise).mean(axis=0) - (c < -noise).mean(axis=0)).ravel(),
                "q05": np.quantile(c, 0.05, axis=0).ravel(),
                "runs": len(c),
            }
        )
        first = group.iloc[0]
        rows.append(found.assign(backbone=first["backbone"], method=first["method"]))
    names = [*HEAD, "trained", "task", "mean", "low", "high", "order_sd", "before", "after"]
    names += ["sign", "q05", "runs"]
    return pd.concat(rows)[names] if rows else pd.DataFrame(columns=names)


def profiles(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """What a task gains and loses by its position in the order.

    Returns:
        One row per (backbone, method, task, position): gain (mean of R[i, i] - R[i-1, i]), lost
        (mean of R[i, i] - R[T, i]), final (mean of R[T, i]), runs.
    """
    rows = []
    for group, tasks, order, R in _matrices(results, runs):
        learnt = np.diagonal(R[:, 1:], axis1=1, axis2=2)
        before = np.diagonal(R[:, :-1], axis1=1, axis2=2)
        long = pd.DataFrame(
            {
                "task": np.asarray(tasks, dtype=object)[order].ravel(),
                "position": np.tile(np.arange(1, len(tasks) + 1), len(order)),
                "gain": (learnt - before).ravel(),
                "lost": (learnt - R[:, -1]).ravel(),
                "final": R[:, -1].ravel(),
            }
        )
        found = long.groupby(["task", "position"]).mean()
        found["runs"] = long.groupby(["task", "position"]).size()
        first = group.iloc[0]
        rows.append(found.reset_index().assign(backbone=first["backbone"], method=first["method"]))
    names = [*HEAD, "task", "position", "gain", "lost", "final", "runs"]
    return pd.concat(rows)[names] if rows else pd.DataFrame(columns=names)


def _matrices(
    results: Results, runs: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, list[str], np.ndarray, np.ndarray]]:
    """Per (backbone, method) whose orders hold the same tasks: runs, tasks, orders, R."""
    for _, group in runs.groupby(HEAD):
        used = counted(group)
        sets = {frozenset(order) for order in used["order"].unique()}
        if len(sets) != 1:
            continue
        tasks = sorted(next(iter(sets)))
        at = {task: i for i, task in enumerate(tasks)}
        order = np.array([[at[task] for task in o] for o in used["order"]])
        R = results.scores.matrices(as_runs(used))
        if not np.isnan(R).any():
            yield used, tasks, order, R


def _t_bounds(means: np.ndarray) -> tuple[np.ndarray, np.ndarray] | tuple[float, float]:
    """Bounds of the t interval of every column of means [replicates, columns]."""
    m = len(means)
    if m < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + LEVEL) / 2, m - 1) * means.std(axis=0, ddof=1) / np.sqrt(m)
    return means.mean(axis=0) - half, means.mean(axis=0) + half


def _mean_where(c: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The mean over runs for which `chosen`; NaN where there are none."""
    count = chosen.sum(axis=0)
    total = np.where(chosen, c, 0).sum(axis=0)
    mean: np.ndarray = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def _noise(results: Results) -> float:
    """A standard error of an accuracy of one half, on as many samples as tasks are tested on."""
    sizes = results.stages.loc[results.stages["split"] == "task", "n"].dropna()
    typical = float(np.median(sizes)) if len(sizes) else 0.0
    return 0.5 / typical**0.5 if typical > 0 else 0.0
