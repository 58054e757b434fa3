"""How much a result depends on the order.

y[r, o] is a metric of the run of order o in replicate r, and a replicate is one seed with its
block of orders. What orders and seeds do to it is told apart by `blocks`, for every design.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

from analysis.data.results import Results, as_runs
from analysis.inference.intervals import (
    Interval,
    positive_bounds,
    positive_interval,
    telling,
    variance_bounds,
)
from analysis.inference.replicates import are_complete, complete_replicates, over_replicates
from analysis.orders.blocks import Blocks
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
    seed_sd_low: float
    seed_sd_high: float


def spread(table: pd.DataFrame) -> Spread:
    """Returns the standard deviation over orders, apart from the one over seeds.

    order_sd^2 is the variance over all possible orders within one seed; it holds the noise that
    every run adds. seed_sd^2 is what the means of replicates differ by beyond the orders that they
    drew, truncated at 0. How the two are told apart is the matter of `blocks`; both variances are
    right on average whatever the design.

    The interval of order_sd treats the replicates as units (`positive_bounds` of the variances
    inside each), so it needs no normal law over orders. That of seed_sd holds for normal seeds
    (`variance_bounds`); it begins at 0 where seeds cannot be distinguished from none.

    Args:
        table: what `by_order` returns: y [orders, replicates]; NaN where a replicate lacks an
            order.

    Returns:
        NaN where fewer than two orders, two replicates (seed) or three replicates (intervals) are
        there, and for an interval that says nothing (`intervals.telling`).
    """
    y = table.to_numpy(float).T
    replicate, order = np.nonzero(~np.isnan(y))
    if not len(replicate):
        return Spread(*[np.nan] * len(Spread._fields))
    orders = table.index.to_list()
    blocks = Blocks(pd.factorize(replicate)[0], [orders[number] for number in order])
    return Spread(*map(float, spreads(blocks, y[replicate, order][:, None]).iloc[0]))


def spreads(blocks: Blocks, values: np.ndarray) -> pd.DataFrame:
    """Returns the `Spread` of every column of values [runs, columns], a row each."""
    split = blocks.split(values)
    order = np.maximum(0, split.order)
    several = split.inside[blocks.sizes > 1]
    low, high = positive_bounds(several)
    plain = several.mean(axis=0) if len(several) else order
    scale = np.divide(order, plain, out=np.ones_like(order), where=plain > 0)
    order_sd = telling(np.sqrt(low * scale), np.sqrt(high * scale))
    seeds, runs = len(blocks.sizes), len(values)
    seed = np.full((2, len(order)), np.nan)
    if seeds > 2 and runs > seeds:  # the upper bound from two is more than 30 times as high
        degrees = (seeds - 1, blocks.drawn_degrees)
        seed = np.sqrt(variance_bounds(split.between, split.drawn, *degrees))
    found = (np.sqrt(order), *order_sd, np.sqrt(np.maximum(0, split.seed)), *seed)
    return pd.DataFrame(dict(zip(Spread._fields, found, strict=True)))


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


def tolerance(num: int, confidence: float = 0.95, methods: int = 1) -> float:
    """Returns the share of all orders that do at least as well as the worst of `num` random ones.

    (1 - confidence)^(1 / num) (Wilks 1941): 59 orders for 95 % of all. At least as well, because
    runs may end alike. Given its seeds a study's runs are independent draws, so this holds for the
    seeds of the study. For a statement about several methods that has to hold for all of them
    together, each one may fail with the same part of 1 - confidence (Bonferroni).
    """
    return float(((1 - confidence) / methods) ** (1 / num))


def expected_range(blocks: Blocks, values: np.ndarray, m: int) -> Interval:
    """Returns the range that m random orders of one seed can be expected to show.

    The mean over replicates of `rarefied_range`, which is right where orders were drawn at random.
    Orders that balance each other lie further apart than random ones, so it is made smaller by
    what their variance is too large (see `blocks`). Its interval is over replicates.

    Args:
        blocks: of the runs.
        values: one per run.
        m: number of orders.
    """
    ranges = [
        rarefied_range(values[blocks.replicate == number], m) for number in range(len(blocks.sizes))
    ]
    split = blocks.split(values[:, None])
    inside = float(split.inside[blocks.sizes > 1].mean()) if (blocks.sizes > 1).any() else 0.0
    scale = 1.0
    if inside > 0:
        scale = (max(0.0, float(split.order[0])) / (1 - 1 / blocks.possible) / inside) ** 0.5
    found = positive_interval([scale * each for each in ranges])
    low, high = telling(found.low, found.high)
    return Interval(found.mean, float(low), float(high))


def robustness(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns what the order does to a metric of every method.

    Args:
        runs: what `metrics` returns.
        metric: a column of it.

    Returns:
        One row per (backbone, method): mean, low, high (as in `summary`); order_sd,
        order_sd_low, order_sd_high, seed_sd, seed_sd_low, seed_sd_high (as in `spread`); over all
        runs that count: worst, best, q05, q95, iqr, bad_order_average (of the worst tenth),
        tolerance (the share of all orders that do at least as well as `worst`, for this method by
        itself; NaN unless the orders are random draws); per number m of orders: range_m,
        range_m_low, range_m_high (see `expected_range`); replicates, runs.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> robustness(runs)[["method", "mean", "order_sd", "worst", "best"]].round(3)
         method   mean  order_sd  worst   best
    0  finetune  0.589     0.033  0.539  0.644
    1    replay  0.742     0.033  0.691  0.798
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
        complete = are_complete(used)
        row = {"backbone": backbone, "method": method, "metric": metric}
        row |= over_replicates(values, used).inside(*METRICS[metric].limits)._asdict()
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
            ranges = expected_range(Blocks.of(used), values, m).only_if(complete)
            row |= dict(zip(_columns(f"range_{m}"), ranges, strict=True))
        rows.append(row | {"replicates": used["replicate"].nunique(), "runs": len(values)})
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
    tasks are MOPD and AOPD. `opd` grows with the number of orders; `opd_5` is the range that five
    orders of one seed can be expected to show (see `expected_range`).

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
        final = _final_accuracy(results, complete_replicates(group))
        for task, mine in final.groupby("task"):
            blocks, accuracy = Blocks.of(mine), mine["accuracy"].to_numpy()
            ranges = {f"opd_{m}": expected_range(blocks, accuracy, m).mean for m in RAREFIED}
            head = {"backbone": backbone, "method": method, "task": task}
            head |= {"opd": float(np.ptp(accuracy))}
            rows.append(head | ranges | {"orders": len(mine)})
    names = ["backbone", "method", "task", "opd", *(f"opd_{m}" for m in RAREFIED), "orders"]
    return pd.DataFrame(rows, columns=names)


def _final_accuracy(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns task, replicate, order and final accuracy, a row per run and task."""
    parts = []
    for _, part in runs.groupby(runs["order"].map(len)):
        last = results.scores.matrices(as_runs(part))[:, -1]
        tasks = np.array(part["order"].to_list(), dtype=object)
        long = part.loc[part.index.repeat(tasks.shape[1]), ["replicate", "order"]]
        parts.append(long.assign(task=tasks.ravel(), accuracy=last.ravel()))
    return pd.concat(parts, ignore_index=True)
