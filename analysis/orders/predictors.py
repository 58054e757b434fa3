"""Do similarity scores predict good orders? What they said of an order, against its result.

A predictor is a score of one measure of similarity, such as the sum of similarities between
neighbours; a study that measures similarity keeps all of them for all of its orders.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import fs
from scipy import stats

from analysis.data.results import Results
from analysis.inference.intervals import LEVEL, correlation, t_interval
from analysis.inference.replicates import centred, with_same_tasks
from analysis.orders.blocks import Blocks
from analysis.run_metrics.metric import METRICS

LARGEST = 6
"""Tasks up to which all orders are compared: their relabellings are T! times T! numbers."""
CLAIMS = {
    "path_cost": "lower",
    "lagged": "lower",
    "typicality_gradient": "higher",
    "linear_error": "lower",
}
"""Which orders a score calls easy. Between orders of one length `adjacent` is `path_cost`."""
TINY = 1e-9
HEAD = ["backbone", "method", "metric", "measure", "score"]


class Group(NamedTuple):
    """Holds the runs of one method's complete replicates, all orders of the same tasks."""

    backbone: str
    method: str
    runs: pd.DataFrame
    """What `metrics` returns; one row per run."""
    tasks: list[str]


def order_scores(results: Results) -> pd.DataFrame:
    """Returns what a study knew of its orders before training.

    Returns:
        One row per (backbone, measure, score, order): the order as a tuple, and value; measures
        are in the order in which the study names them. Empty if similarity was not measured.

    >>> from analysis import tiny_study
    >>> order_scores(tiny_study()).empty  # only studies that measure similarity have scores
    True
    """
    names = ["backbone", "measure", "order", "score", "value"]
    path = "similarity/orders.parquet"
    if results.folder is None or results.folder.get_file_info(path).type != fs.FileType.File:
        return pd.DataFrame(columns=names)
    wide = pq.read_table(path, filesystem=results.folder).to_pandas()
    wide["order"] = [tuple(order) for order in wide["order"]]
    long: pd.DataFrame = wide.melt(names[:3], var_name="score", value_name="value")
    return long[names]


def dose_response(
    runs: pd.DataFrame, scores: pd.DataFrame, metric: str = "average_accuracy"
) -> pd.DataFrame:
    """Returns how a metric of a run changes with what was predicted of its order.

    Least squares inside replicates, with the first and the last task as covariates: both are far
    from uniform among orders with similar or dissimilar neighbours, and what is learnt last is
    forgotten least. The interval leaves out one replicate after another (jackknife), because runs
    of one replicate share stages. It is about these tasks: that a slope is not 0 does not say that
    a score that is made up would have none (see `relabelling`).

    Args:
        runs: what `metrics` returns.
        scores: what `order_scores` returns.
        metric: a column of `runs`.

    Returns:
        One row per (backbone, method, measure, score) of methods with at least two complete
        replicates whose orders hold the same tasks: metric, slope, low, high (of the metric per
        standard deviation of the score), sd (that standard deviation, over all orders of these
        tasks), bend, bend_low, bend_high (coefficient of its square,
        from a second regression; negative: highest in the middle), replicates, runs. Scores that
        the covariates determine are left out, and methods with too few runs to tell a score from
        its covariates where a replicate is left out (as three replicates of Williams squares of six
        tasks).

    >>> import pandas as pd
    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> scores = pd.DataFrame({"order": runs["order"].unique()})
    >>> scores["value"] = [float("cars>pets" in ">".join(order)) for order in scores["order"]]
    >>> scores = scores.assign(backbone="clip", measure="made up", score="neighbours")
    >>> dose_response(runs, scores)[["method", "slope", "low", "high"]].round(4)
         method  slope     low    high
    0  finetune    0.0 -0.0003  0.0003
    1    replay    0.0 -0.0003  0.0003
    """
    rows = []
    for group in _groups(runs, metric):
        replicate = group.runs["replicate"].to_numpy()
        if len(set(replicate)) < 2:
            continue
        y = group.runs[metric].to_numpy(float)
        covariates = ends(group.runs, group.tasks)
        if _spare(covariates, replicate) < 2:
            continue
        for (measure, score), values in _predictors(scores, group):
            sd = _sd_over_orders(values, group.runs)
            if sd <= TINY * np.abs(values).max():
                continue
            x = (values - values.mean()) / sd
            if _determined(x, covariates, replicate):
                continue
            slope = _jackknife(np.column_stack([x, covariates]), y, replicate)
            bend = _jackknife(np.column_stack([x**2, x, covariates]), y, replicate)
            rows.append(
                dict(zip(HEAD, (*group[:2], metric, measure, score), strict=True))
                | dict(zip(("slope", "low", "high"), slope, strict=True))
                | {"sd": sd}
                | dict(zip(("bend", "bend_low", "bend_high"), bend, strict=True))
                | {"replicates": len(set(replicate)), "runs": len(y)}
            )
    names = ["slope", "low", "high", "sd", "bend", "bend_low", "bend_high", "replicates", "runs"]
    return pd.DataFrame(rows, columns=[*HEAD, *names])


def regret(
    runs: pd.DataFrame, scores: pd.DataFrame, metric: str = "average_accuracy"
) -> pd.DataFrame:
    """Returns what the orders that predictors propose are worth, among all orders there are.

    The best of all orders in hindsight is a poor yardstick for a predictor: it is the best partly
    by chance. What counts is whether a proposed order is better than a random one, and the null
    law of that is exact: the predictor with its tasks relabelled in all T! ways. It keeps the
    number of orders that a predictor cannot tell apart, such as an order and its reverse.

    Args:
        runs: what `metrics` returns.
        scores: what `order_scores` returns.
        metric: a column of `runs`.

    Returns:
        Two rows per (backbone, method, measure, score) of methods whose complete replicates hold
        all orders of the same 3 to LARGEST tasks: metric, proposal ("easiest" or "hardest", by the
        claim of the score's paper), order (the first of those proposed) and orders (how many tie),
        value (the metric's mean over these and replicates), mean, best and worst (of all orders,
        replicates averaged), regret (best against value; 0 or more), gain (value against mean, low
        and high: t interval over replicates; positive: better than a random order), better (share
        of all orders that do better), p (share of relabellings that propose orders at least as
        good), p_all (the same for the best of all predictors' proposals, corrected for looking at
        all of them), r and p_r (correlation of score and metric over all orders, two-sided),
        replicates, runs.

    >>> import pandas as pd
    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> scores = pd.DataFrame({"order": runs["order"].unique()})
    >>> scores["value"] = [float(order.index("textures")) for order in scores["order"]]
    >>> scores = scores.assign(backbone="clip", measure="made up", score="path_cost")
    >>> found = regret(runs, scores).query("proposal == 'easiest'")
    >>> found[["method", "orders", "regret", "better"]].round(3)
         method  orders  regret  better
    0  finetune       2   0.014   0.167
    2    replay       2   0.012   0.167
    """
    rows: list[dict[str, Any]] = []
    for group in _groups(runs, metric):
        if not 3 <= len(group.tasks) <= LARGEST:
            continue
        every = list(permutations(group.tasks))
        table = group.runs.pivot(index="replicate", columns="order", values=metric)
        if len(table.columns) == len(every) and table.notna().all(axis=None):
            rows += _proposals(group, table[every].to_numpy(float), every, scores, metric)
    names = ["proposal", "order", "orders", "value", "mean", "best", "worst", "regret", "gain"]
    names += ["low", "high", "better", "p", "p_all", "r", "p_r", "replicates", "runs"]
    return pd.DataFrame(rows, columns=[*HEAD, *names])


def _proposals(
    group: Group,
    y: np.ndarray,
    every: list[tuple[str, ...]],
    scores: pd.DataFrame,
    metric: str,
) -> list[dict[str, Any]]:
    """Returns the rows of one method; y: [replicates, orders]."""
    mean, sign = y.mean(axis=0), METRICS[metric].sign
    relabelled = _relabellings(group.tasks)
    rows, nulls = [], []
    for (measure, score), predicted in _predictors(scores, group, every):
        close = TINY * np.abs(predicted).max()  # measures have units of all sizes
        if score not in CLAIMS or np.ptp(predicted) <= close:
            continue
        r = [correlation(predicted[names], mean) for names in relabelled]
        for proposal in ("easiest", "hardest"):
            lowest = (CLAIMS[score] == "lower") == (proposal == "easiest")
            extreme = predicted.min() if lowest else predicted.max()
            chosen = np.flatnonzero(np.abs(predicted - extreme) <= close)
            null = mean[relabelled[:, chosen]].mean(axis=1)  # the identity comes first
            gain = t_interval(sign * (y[:, chosen].mean(axis=1) - y.mean(axis=1)))
            nulls.append(sign * (null - mean.mean()) / max(null.std(), TINY))
            rows.append(
                dict(zip(HEAD, (*group[:2], metric, measure, score), strict=True))
                | {"proposal": proposal, "order": every[chosen[0]], "orders": len(chosen)}
                | {"value": null[0], "mean": mean.mean()}
                | {"best": sign * (sign * mean).max(), "worst": sign * (sign * mean).min()}
                | {"regret": (sign * mean).max() - sign * null[0]}
                | {"gain": gain.mean, "low": gain.low, "high": gain.high}
                | {"better": float(np.mean(sign * mean > sign * null[0] + TINY))}
                | {"p": float(np.mean(sign * null >= sign * null[0] - TINY))}
                | {"r": r[0], "p_r": float(np.mean(np.abs(r) >= abs(r[0]) - TINY))}
                | {"replicates": len(y), "runs": y.size}
            )
    largest = np.max(nulls, axis=0) if nulls else np.empty(0)
    for row, null in zip(rows, nulls, strict=True):
        row["p_all"] = float(np.mean(largest >= null[0] - TINY))
    return rows


def _relabellings(tasks: list[str]) -> np.ndarray:
    """[T!, T!]: which order every order becomes when tasks are called otherwise, as they are first.

    Orders are numbered as `permutations` lists them.
    """
    every = np.array(list(permutations(range(len(tasks)))))
    places = len(tasks) ** np.arange(len(tasks))
    keys = every @ places
    number = np.argsort(keys)
    found: np.ndarray = number[np.searchsorted(keys[number], every[:, every] @ places)]
    return found


def _groups(runs: pd.DataFrame, metric: str) -> Iterator[Group]:
    """Yields every method with the same tasks in all orders, if the order moves the metric."""
    for used, tasks in with_same_tasks(runs.dropna(subset=metric)):
        first = used.iloc[0]
        if centred(used[metric].to_numpy(), used["replicate"].to_numpy()).std() > TINY:
            yield Group(first["backbone"], first["method"], used, tasks)


def _predictors(
    scores: pd.DataFrame, group: Group, orders: list[tuple[str, ...]] | None = None
) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """(measure, score) and its values for orders, by default those of the group's runs."""
    mine = scores[scores["backbone"] == group.backbone]
    for key, part in mine.groupby(["measure", "score"], sort=False):
        values = part.set_index("order")["value"].reindex(orders or list(group.runs["order"]))
        if values.notna().all():
            yield (str(key[0]), str(key[1])), values.to_numpy(float)


def ends(runs: pd.DataFrame, tasks: list[str]) -> np.ndarray:
    """Returns dummies of the first and the last task of every run: [runs, 2 (T - 1)]."""
    pairs = [[order[0], order[-1]] for order in runs["order"]]
    dummies = [[end == task for end in pair for task in tasks[1:]] for pair in pairs]
    return np.array(dummies, float)


def _spare(covariates: np.ndarray, replicate: np.ndarray) -> int:
    """Returns how many runs more than means and covariates there are, a replicate left out."""
    sizes = np.bincount(np.unique(replicate, return_inverse=True)[1])
    return int(
        len(replicate) - sizes.max() - (len(sizes) - 1) - np.linalg.matrix_rank(covariates) - 1
    )


def _sd_over_orders(values: np.ndarray, runs: pd.DataFrame) -> float:
    """Returns the SD of a score over all orders; that of the orders drawn depends on the design."""
    return float(max(0.0, Blocks.of(runs).split(values[:, None]).order[0]) ** 0.5)


def _determined(x: np.ndarray, covariates: np.ndarray, replicate: np.ndarray) -> bool:
    """Returns whether the covariates leave (almost) nothing of x."""
    x, covariates = centred(x, replicate), centred(covariates, replicate)
    left = x - covariates @ np.linalg.lstsq(covariates, x, rcond=None)[0]
    return bool((left**2).sum() < 1e-6 * (x**2).sum())


def _jackknife(X: np.ndarray, y: np.ndarray, replicate: np.ndarray) -> tuple[float, float, float]:
    """Returns the first coefficient, with the interval of the jackknife over replicates.

    b +- t_(m-1) sqrt((m - 1) / m sum_r (b_r - b)^2), b_r without replicate r (CV3 of
    MacKinnon, Nielsen & Webb, "Cluster-robust inference", 2023, for few clusters).
    """

    def first(kept: np.ndarray) -> float:
        design, response = centred(X[kept], replicate[kept]), centred(y[kept], replicate[kept])
        return float(np.linalg.lstsq(design, response, rcond=None)[0][0])

    names = np.unique(replicate)
    whole = first(np.ones(len(y), bool))
    squares = sum((first(replicate != name) - whole) ** 2 for name in names)
    m = len(names)
    half = stats.t.ppf((1 + LEVEL) / 2, m - 1) * np.sqrt((m - 1) / m * squares)
    return whole, whole - half, whole + half
