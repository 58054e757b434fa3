"""Whether the order moves one method more than another.

Two methods are compared seed by seed, on the orders that both have: s_r is the standard deviation
of a metric over the orders of replicate r. The ratio of two s_r is free of what makes a seed hard
for all methods. Its logarithm gets a t interval over replicates, which needs no normal law over
orders; the F test of two variances does, and it takes runs that share prefixes for independent.
"""

from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference.intervals import t_interval, telling
from analysis.inference.replicates import Baseline, are_complete, complete_replicates, partners
from analysis.inference.significance import holm, holm_levels
from analysis.orders.blocks import Blocks
from analysis.run_metrics.metric import DECIMALS

FEW = 3
"""Orders that a careful paper tries."""
DRAWS = 4000
"""Of FEW orders, from every replicate."""
_UNKNOWN = (np.nan, np.nan)


def steadiness(
    runs: pd.DataFrame, baseline: Baseline, metric: str = "average_accuracy"
) -> pd.DataFrame:
    """Returns the spread over orders of every method, relative to a baseline's.

    Args:
        runs: what `metrics` returns.
        baseline: the method to compare with, or {method: the method to compare it with}.
        metric: a column of it.

    Returns:
        One row per (backbone, method) where the order moves both, in every replicate: baseline,
        ratio (of the method's SD over orders to the baseline's, geometric mean over replicates),
        ratio_low, ratio_high (95 % t interval of its logarithm), p, p_holm (of ratio = 1, t test;
        Holm over the methods of a backbone), holm_low, holm_high (the interval at the level of
        Holm's procedure: without 1 exactly where p_holm is below 5 %), few_low, few_high (2.5 %
        and 97.5 % quantiles of the ratio that FEW orders of one seed show), reversed (the share of
        such draws in which the other of the two is the steadier), orders (of a replicate, mean),
        replicates. Bounds and p are NaN for a single replicate and where one is broken; bounds
        also for two replicates and where they say nothing (`intervals.telling`).

    Raises:
        ValueError: no run of a baseline is complete.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> steadiness(runs, "finetune")[["method", "ratio", "replicates"]].round(2)
       method  ratio  replicates
    0  replay   0.99           4
    """
    tables, other = [], partners(runs["method"], baseline)
    for backbone, group in runs.dropna(subset=metric).groupby("backbone"):
        used = {str(method): complete_replicates(part) for method, part in group.groupby("method")}
        found = [
            {"backbone": backbone, "method": method, "baseline": other[method]} | row
            for method in used
            if other.get(method) in used
            if (row := _ratio(used[method], used[other[method]], metric))
        ]
        tables.append(_corrected(pd.DataFrame(found, columns=[*_COLUMNS, "error"])))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_COLUMNS)


_COLUMNS = [
    *("backbone", "method", "baseline", "ratio", "ratio_low", "ratio_high", "p", "p_holm"),
    *("holm_low", "holm_high", "few_low", "few_high", "reversed", "orders", "replicates"),
]


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the ratios of a backbone with what Holm's procedure makes of them together."""
    known = table["p"].notna()
    p = table.loc[known, "p"].to_numpy(float)
    table.loc[known, "p_holm"] = holm(p)
    told = known & table["ratio_low"].notna()
    mine = table.loc[known].assign(level=holm_levels(p)).loc[told[known]].astype({"ratio": float})
    half = stats.t.isf(mine["level"] / 2, mine["replicates"].astype(int) - 1)
    factor = np.exp(half * mine["error"].astype(float))
    low, high = telling(mine["ratio"] / factor, mine["ratio"] * factor)
    table.loc[told, "holm_low"], table.loc[told, "holm_high"] = low, high
    return table[_COLUMNS]


def _ratio(runs: pd.DataFrame, reference: pd.DataFrame, metric: str) -> dict[str, float]:
    """Returns one row of the table; {} where the order does not move one of the two."""
    pair = ["replicate", "order"]
    both = runs.merge(reference[[*pair, metric]], on=pair, suffixes=("", " of reference"))
    columns = [metric, f"{metric} of reference"]
    if both.empty:
        return {}
    blocks, values = Blocks.of(both), both[columns].to_numpy(float)
    parts = [values[blocks.replicate == number] for number in range(len(blocks.sizes))]
    if min(np.ptp(part, axis=0).min() for part in parts) < 10.0**-DECIMALS:
        return {}
    logs, shift = log_ratios(blocks, values)
    few = shift + np.concatenate([_log_ratio(part[_choices(len(part))]) for part in parts])
    complete = are_complete(runs) and are_complete(reference)
    centre, low, high = t_interval(logs).only_if(complete)
    few_low, few_high = np.quantile(few, [0.025, 0.975], method="nearest")
    ratio_low, ratio_high = telling(np.exp(low), np.exp(high)) if len(logs) > 2 else _UNKNOWN
    return {
        "ratio": float(np.exp(centre)),
        "ratio_low": float(ratio_low),
        "ratio_high": float(ratio_high),
        "error": float(stats.sem(logs)) if len(logs) > 1 else np.nan,
        "p": float(stats.ttest_1samp(logs, 0).pvalue) if complete and len(logs) > 1 else np.nan,
        "few_low": float(np.exp(few_low)),
        "few_high": float(np.exp(few_high)),
        "reversed": float((few * centre < 0).mean()),
        "orders": float(blocks.sizes.mean()),
        "replicates": len(blocks.sizes),
    }


def log_ratios(blocks: Blocks, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the log of the ratio of both SDs over orders in every replicate, and its correction.

    Orders that balance each other lie further apart than random ones, for one method perhaps more
    than for the other; the correction, which is added already, takes that back (see `blocks`).

    Args:
        blocks: of the runs.
        values: of both methods, [runs, 2].
    """
    split = blocks.split(values)
    scales = np.log(split.order / split.inside.mean(axis=0)) / 2
    shift = float(scales[0] - scales[1])
    deviations = np.log(split.inside) / 2
    return deviations[:, 0] - deviations[:, 1] + shift, shift


def _log_ratio(values: np.ndarray) -> np.ndarray:
    """Returns the log of the ratio of both SDs, of values [..., orders, 2]."""
    with np.errstate(divide="ignore", invalid="ignore"):  # FEW orders may end alike
        logs = np.log(values.std(axis=-2, ddof=1))
        ratio: np.ndarray = logs[..., 0] - logs[..., 1]
    return np.where(np.isnan(ratio), 0.0, ratio)


@cache
def _choices(orders: int) -> np.ndarray:
    """Returns FEW of so many orders, without replacement, int64 [DRAWS, FEW]."""
    few = min(FEW, orders)
    ranks = np.random.default_rng(0).random((DRAWS, orders))
    return np.argpartition(ranks, few - 1, axis=1)[:, :few]
