"""How much a result depends on the order.

y[r, o] is a metric of the run of order o in replicate r, and a replicate is one seed with its
block of orders. Given its seed, a run is a function of its order alone, so the spread inside a
replicate is the order's, and what the replicate means differ by beyond it is the seed's.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

from analysis.data.results import Results, as_runs
from analysis.inference.intervals import positive_interval
from analysis.inference.replicates import are_complete, complete_replicates, over_replicates
from analysis.run_metrics.metric import METRICS

WORST = 0.1
"""The share of orders that the bad-order average is over."""
RAREFIED = (5, 20)
"""Numbers of orders for which the expected range is reported."""


class Spread(NamedTuple):
    """Holds what the order does, and what the seed does."""

    order_sd: float
    order_sd_low: float
    order_sd_high: float
    seed_sd: float


def spread(table: ArrayLike) -> Spread:
    """Returns the standard deviation over orders, apart from the one over seeds.

    order_sd^2 is the mean over replicates of s_r^2, the variance over the orders of one seed; it
    holds the training noise that every new prefix draws. Its interval treats the replicates as
    the units (`positive_interval` of the s_r^2), so it needs no normal distribution over orders.
    seed_sd^2 is the variance of the replicate means
    minus what their finite number of orders explains, truncated at 0.

    Args:
        table: y [orders, replicates]; NaN where an order is not in a replicate.

    Returns:
        NaN where fewer than two orders (order) or two replicates (interval, seed) are there.
    """
    y = np.asarray(table, float)
    sizes = (~np.isnan(y)).sum(axis=0)
    if not (sizes > 1).any():
        return Spread(np.nan, np.nan, np.nan, np.nan)
    variances = np.nanvar(y[:, sizes > 1], axis=0, ddof=1)
    order, low, high = positive_interval(variances)
    seed = np.nan
    if len(sizes) > 1:
        noise = _residual_variance(y, variances) * float((1 / sizes).mean())
        between = float(np.nanmean(y, axis=0).var(ddof=1))
        seed = float(np.sqrt(max(0.0, between - noise)))
    return Spread(order**0.5, low**0.5, high**0.5, seed)


def _residual_variance(y: np.ndarray, variances: np.ndarray) -> float:
    """Returns the variance inside replicates, without what all replicates say of an order."""
    if np.isnan(y).any():
        return float(variances.mean())
    residual = y - y.mean(axis=0) - y.mean(axis=1, keepdims=True) + y.mean()
    degrees = (y.shape[0] - 1) * (y.shape[1] - 1)
    return float((residual**2).sum() / degrees)


def by_order(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Returns the runs of one method's complete replicates: a row per order, a column per seed."""
    defined = runs.dropna(subset=metric)
    return complete_replicates(defined).pivot(index="order", columns="replicate", values=metric)


def rarefied_range(values: np.ndarray, m: int) -> float:
    """Returns the expected range of m of the values, drawn without replacement.

    With x sorted, E[max] = sum over r = m..M of x_(r) C(r-1, m-1) / C(M, m), and E[min] by
    symmetry. Unlike max - min of all values it does not grow with their number, so studies with
    other numbers of orders can be compared. NaN for fewer than m values.
    """
    x = np.sort(np.asarray(values, float))
    M = len(x)
    if m > M:
        return np.nan
    r = np.arange(m, M + 1)
    weights = np.exp(_log_choose(r - 1, m - 1) - _log_choose(np.array(M), m))
    return float(weights @ x[m - 1 :] - weights @ x[: M - m + 1][::-1])


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    logs: np.ndarray = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return logs


def bad_order_average(values: np.ndarray, share: float = WORST) -> float:
    """Returns the CVaR: the mean of the worst `share` of the values, the last one in part."""
    x = np.sort(np.asarray(values, float))
    weights = np.clip(share * len(x) - np.arange(len(x)), 0, 1)
    return float(weights @ x / weights.sum())


def tolerance(num: int, confidence: float = 0.95) -> float:
    """Returns the share of all orders that do better than the worst of `num`, with 95 % confidence.

    (1 - confidence)^(1 / num) (Wilks 1941), for orders drawn at random: 59 of them for 95 % of
    all orders. Given its seeds a study's runs are independent draws, so this holds for the seeds
    of the study.
    """
    return float((1 - confidence) ** (1 / num))


def robustness(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns what the order does to a metric of every method.

    Args:
        runs: what `metrics` returns.
        metric: a column of it.

    Returns:
        One row per (backbone, method): mean, low, high (as in `summary`); order_sd,
        order_sd_low, order_sd_high, seed_sd (as in `spread`); over all runs that count: worst,
        best, q05, q95, iqr, bad_order_average (of the worst tenth), tolerance (the share of all
        orders that do better than `worst`; NaN unless the orders are random draws); per number m
        of orders: range_m, range_m_low, range_m_high (the expected range of m orders of
        one seed, with its interval over replicates); replicates, runs.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> robustness(runs)[["method", "mean", "order_sd", "worst", "best"]].round(3)
         method   mean  order_sd  worst   best
    0  finetune  0.589     0.036  0.539  0.644
    1    replay  0.742     0.036  0.691  0.798
    """
    sign = METRICS[metric].sign
    rows = []
    for (backbone, method), group in runs.groupby(["backbone", "method"]):
        used = complete_replicates(group.dropna(subset=metric))
        if used.empty:
            continue
        values = used[metric].to_numpy()
        good = np.sort(sign * values)
        low, high = np.quantile(values, [0.05, 0.95])
        by_replicate = [part.to_numpy() for _, part in used.groupby("replicate")[metric]]
        complete = are_complete(used)
        row = {"backbone": backbone, "method": method, "metric": metric}
        row |= over_replicates(values, used)._asdict()
        row |= spread(by_order(group, metric))._asdict() if complete else {}
        row |= {
            "worst": sign * good[0],
            "best": sign * good[-1],
            "q05": low,
            "q95": high,
            "iqr": stats.iqr(values),
            "bad_order_average": sign * bad_order_average(good),
            "tolerance": tolerance(len(values))
            if set(used["design"]) == {"random"} and complete
            else np.nan,
        }
        for m in RAREFIED:
            ranges = positive_interval([rarefied_range(part, m) for part in by_replicate])
            row |= dict(zip(_columns(f"range_{m}"), ranges, strict=True))
        rows.append(row | {"replicates": len(by_replicate), "runs": len(values)})
    return pd.DataFrame(rows, columns=_ROBUSTNESS)


def _columns(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


_ROBUSTNESS = [
    *("backbone", "method", "metric", "mean", "low", "high", *Spread._fields),
    *("worst", "best", "q05", "q95", "iqr", "bad_order_average", "tolerance"),
    *(column for m in RAREFIED for column in _columns(f"range_{m}")),
    *("replicates", "runs"),
]


def disparity(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the order-normalised performance disparity of every task (Yoon et al. 2020).

    OPD_i is the range over orders of the final accuracy on task i; its maximum and mean over
    tasks are MOPD and AOPD. `opd` grows with the number of orders; `opd_5` is the expected range
    of five orders of one seed (see `rarefied_range`), averaged over replicates.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, task): opd, opd_5, opd_20, orders.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> disparity(results, runs)[["method", "task", "opd"]].round(3).head(3)
         method      task    opd
    0  finetune      cars  0.565
    1  finetune      pets  0.502
    2  finetune  textures  0.425
    """
    rows = []
    for (backbone, method), group in runs.groupby(["backbone", "method"]):
        used = complete_replicates(group)
        final = _final_accuracy(results, used)
        for task, mine in final.groupby("task"):
            parts = [part.to_numpy() for _, part in mine.groupby("replicate")["accuracy"]]
            ranges = {
                f"opd_{m}": float(np.mean([rarefied_range(part, m) for part in parts]))
                for m in RAREFIED
            }
            opd = float(mine["accuracy"].max() - mine["accuracy"].min())
            head = {"backbone": backbone, "method": method, "task": task, "opd": opd}
            rows.append(head | ranges | {"orders": len(mine)})
    names = ["backbone", "method", "task", "opd", *(f"opd_{m}" for m in RAREFIED), "orders"]
    return pd.DataFrame(rows, columns=names)


def _final_accuracy(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns task, replicate and final accuracy, a row per run and task."""
    parts = []
    for _, part in runs.groupby(runs["order"].map(len)):
        last = results.scores.matrices(as_runs(part))[:, -1]
        tasks = np.array(part["order"].to_list(), dtype=object)
        replicates = np.repeat(part["replicate"].to_numpy(), tasks.shape[1])
        parts.append(
            pd.DataFrame({"task": tasks.ravel(), "replicate": replicates, "accuracy": last.ravel()})
        )
    return pd.concat(parts)
