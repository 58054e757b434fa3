"""What learning one task does to another, and how much of that is decided by the order.

The gain contribution of task j to task i in a run is c_ij = R[pos(j), i] - R[pos(j)-1, i]: what
the stage that learns j does to the accuracy on i. One task is learnt per stage, so the c_ij of a
run add up to R[T, i] - R[0, i] without rest, and their mean over uniformly drawn orders is the
value of Nowak & Radzik (1994) of task j, the Shapley value of games in which order matters.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.data.results import Results, as_runs
from analysis.inference.estimates import ROPE
from analysis.inference.replicates import Baseline, complete_replicates, paired, with_same_tasks
from analysis.mechanisms.contribution_table import Contributions, contribution_table
from analysis.orders.comparison import COMPARED
from analysis.run_metrics.metric import METRICS

HEAD = ["backbone", "method"]


def gains(results: Results, runs: pd.DataFrame) -> Iterator[Contributions]:
    """Yields the gain contributions of every task to every other, in all runs that count.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Yields:
        Per (backbone, method) whose orders hold the same tasks: values[run, j, i] = c_ij.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> part = next(gains(results, runs))
    >>> part.players, part.values.shape  # [runs, players, targets]
    (['cars', 'pets', 'textures'], (24, 3, 3))
    """
    for group, tasks, order, R in _matrices(results, runs):
        c = np.diff(R, axis=1)  # [runs, stage, task in learning order]
        position = np.argsort(order, axis=1)  # of every task
        c = np.take_along_axis(c, position[:, :, None], axis=1)
        c = np.take_along_axis(c, position[:, None, :], axis=2)
        yield Contributions(
            kind="gain",
            runs=group,
            players=tasks,
            targets=tasks,
            values=c,
            start=np.zeros(c.shape[1:]),
            noise=_noise(results),
        )


def contributions(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the gain contributions of every task to every other, over orders.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, trained, task): mean, low, high, order_sd, before
        (transfer), after (interference), sign, q05 and runs of c, as in `contribution_table`.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = contributions(results, runs)
    >>> found[["method", "trained", "task", "mean", "order_sd"]].round(2).head(3)
         method trained      task  mean  order_sd
    0  finetune    cars      cars  0.61      0.00
    1  finetune    cars      pets -0.10      0.11
    2  finetune    cars  textures -0.10      0.10
    """
    return of_gains(contribution_table(gains(results, runs)))


def of_gains(known: pd.DataFrame) -> pd.DataFrame:
    """Returns what `contributions` does, from a `contribution_table` of gains and others."""
    names = [*HEAD, "trained", "task", "mean", "low", "high", "order_sd", "before", "after"]
    mine = known[known["kind"] == "gain"].reset_index(drop=True)
    mine = mine.rename(columns={"player": "trained", "target": "task"})
    return mine[[*names, "sign", "q05", "runs"]]


def method_contributions(runs: pd.DataFrame, baseline: Baseline) -> Iterator[Contributions]:
    """Yields what a method adds to a metric, in every run: itself minus the baseline, paired.

    Pairs are those of `inference.paired`, of the same backbone, replicate and order, and metrics
    those of the comparison table; what is better counts as positive.

    Args:
        runs: what `metrics` returns.
        baseline: the method to compare with, or {method: the method to compare it with}.

    Yields:
        Per (backbone, method): values[run, 0, metric].

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> part = next(method_contributions(runs, "finetune"))
    >>> part.players, part.targets
    (['replay'], ['average_accuracy', 'forgetting_max', 'bwt'])
    """
    for _, group in paired(runs, baseline).groupby(HEAD):
        used = complete_replicates(group)
        names = [name for name in COMPARED if used[name].notna().all()]
        signs = [METRICS[name].sign for name in names]
        if names:
            yield Contributions(
                kind="method",
                runs=used,
                players=[str(used["method"].iloc[0])],
                targets=names,
                values=(used[names].to_numpy(float) * signs)[:, None],
                start=np.zeros((1, len(names))),
                noise=ROPE,
            )


def profiles(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns what a task gains and loses by its position in the order.

    Returns:
        One row per (backbone, method, task, position): gain (mean of R[i, i] - R[i-1, i]), lost
        (mean of R[i, i] - R[T, i]), final (mean of R[T, i]), runs.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> profiles(results, runs)[["method", "task", "position", "final"]].round(3).head(3)
         method  task  position  final
    0  finetune  cars         1  0.353
    1  finetune  cars         2  0.531
    2  finetune  cars         3  0.906
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
    """Yields per (backbone, method) whose orders hold the same tasks: runs, tasks, orders, R."""
    for used, tasks in with_same_tasks(runs):
        at = {task: i for i, task in enumerate(tasks)}
        order = np.array([[at[task] for task in o] for o in used["order"]])
        R = results.scores.matrices(as_runs(used))
        if not np.isnan(R).any():
            yield used, tasks, order, R


def _noise(results: Results) -> float:
    """Returns the standard error of an accuracy of one half on a typical test set."""
    sizes = results.stages.loc[results.stages["split"] == "task", "n"].dropna()
    typical = float(np.median(sizes)) if len(sizes) else 0.0
    return 0.5 / typical**0.5 if typical > 0 else 0.0
