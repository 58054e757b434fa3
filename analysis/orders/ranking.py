"""Does the ranking of methods survive another order?

Compared are the runs that every method has: same backbone, replicate and order. Methods that are
told which task test data are of answer an easier question than the others; all rows say how many of
them are among those compared, and to rank either kind by itself, give its runs alone (the column
`knows_task` of runs).
"""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference.intervals import without_rounding
from analysis.inference.replicates import complete_replicates
from analysis.run_metrics.metric import METRICS
from analysis.run_metrics.metrics_table import told_in, with_knowledge

DRAWS = 400
"""Random pairs of halves of a study, where there are more."""


def paired_values(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Returns a metric [(replicate, order), method] without gaps; higher is better."""
    return values_by_method(runs, metric).dropna()


def values_by_method(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Returns a metric [(replicate, order), method], NaN where a method lacks a run.

    Higher is better. Of a method count the complete replicates, as everywhere.
    """
    sign = METRICS[metric].sign
    parts = [complete_replicates(part) for _, part in runs.dropna(subset=metric).groupby("method")]
    used = pd.concat(parts) if parts else runs.iloc[:0]
    wide = used.pivot(index=["replicate", "order"], columns="method", values=metric)
    return sign * wide.sort_index()


def kendalls_w(table: np.ndarray) -> float:
    """Returns Kendall's coefficient of concordance of the rankings of q methods by m runs [m, q].

    W = (12 S) / (m^2 (q^3 - q) - m sum T), with S the sum of squares of the rank sums around
    their mean and T = sum over ties of t^3 - t per run; 1 = always the same ranking, 0 = no
    agreement. The mean Spearman correlation of two runs is (m W - 1) / (m - 1).
    """
    ranks = stats.rankdata(table, axis=1)
    m, q = ranks.shape
    S = ((ranks.sum(axis=0) - m * (q + 1) / 2) ** 2).sum()
    ties = 0
    for row in ranks:
        _, counts = np.unique(row, return_counts=True)
        ties += int((counts**3 - counts).sum())
    denominator = m**2 * (q**3 - q) - m * ties
    return float(12 * S / denominator) if denominator else np.nan


def rankings(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns how well the runs of a study agree about which method is better.

    Returns:
        One row per backbone with at least two methods: methods, told (how many of them are told
        which task test data are of), runs, kendalls_w, mean_spearman (of two runs), top (the method
        that is best on average), top_1 (the share of runs in which it is best or shares the first
        place).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> rankings(runs)[["methods", "runs", "kendalls_w", "top"]]
       methods  runs  kendalls_w     top
    0        2    24         1.0  replay
    """
    rows = []
    for backbone, group in runs.groupby("backbone"):
        wide = paired_values(group, metric)
        m, q = wide.shape
        if q < 2 or m < 1:
            continue
        w, top = kendalls_w(wide.to_numpy()), wide.mean().idxmax()
        rows.append(
            {
                "backbone": backbone,
                "methods": q,
                "told": len(told_in(group).intersection(wide.columns)),
                "runs": m,
                "kendalls_w": w,
                "mean_spearman": (m * w - 1) / (m - 1) if m > 1 else np.nan,
                "top": top,
                "top_1": float((wide[top] >= wide.max(axis=1)).mean()),
            }
        )
    names = ["backbone", "methods", "told", "runs", "kendalls_w", "mean_spearman", "top", "top_1"]
    return pd.DataFrame(rows, columns=names)


def rank_shares(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns how often a method takes which place on the same order and replicate.

    Returns:
        One row per (backbone, method, rank), best method first, rank 1 = best: share of the runs
        (methods that are equal share the places that they take together), mean_rank of the
        method, methods, runs, knows_task (whether it is told which task test data are of; NA: not
        known).
    """
    rows = []
    for backbone, group in runs.groupby("backbone"):
        wide = paired_values(group, metric)
        if min(wide.shape) == 0 or wide.shape[1] < 2:
            continue
        m, q = wide.shape
        first, last = (stats.rankdata(-wide, method=way, axis=1) for way in ("min", "max"))
        mean = pd.Series((first + last).mean(axis=0) / 2, wide.columns)
        for method in mean.sort_values(kind="stable").index:
            i = wide.columns.get_loc(method)
            for rank in range(1, q + 1):
                taken = (first[:, i] <= rank) & (rank <= last[:, i])
                share = float((taken / (last[:, i] - first[:, i] + 1)).mean())
                head = {"backbone": backbone, "method": method, "rank": rank, "share": share}
                rows.append(head | {"mean_rank": mean[method], "methods": q, "runs": m})
    names = ["backbone", "method", "rank", "share", "mean_rank", "methods", "runs"]
    return with_knowledge(pd.DataFrame(rows, columns=names), runs)


def stability(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns how well two independent studies of only k replicates agree about the ranking.

    Two disjoint halves of k replicates each are taken from the study, the methods are ranked by
    their means in both, and the rankings are compared: so no run is on both sides, and 1 is not
    reached by counting the same runs twice. Half of the replicates is the most that can be looked
    at; what more of them would give is not known. All pairs of halves are tried, or DRAWS random
    ones where there are more.

    Returns:
        One row per (backbone, k) with two replicates: tau (mean Kendall tau-a between the two
        rankings), tau_low (5 % quantile over pairs of halves), top_1 (share of pairs with the same
        best method), replicates (of the study), orders (of a replicate, mean).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> stability(runs)[["k", "tau", "top_1"]]
       k  tau  top_1
    0  1  1.0    1.0
    1  2  1.0    1.0
    """
    rows = []
    for backbone, group in runs.groupby("backbone"):
        wide = paired_values(group, metric)
        means = wide.groupby(level="replicate").mean().to_numpy()
        R, q = means.shape
        if q < 2:
            continue
        for k in range(1, R // 2 + 1):
            one, other = (means[half].mean(axis=1) for half in _halves(R, k))
            tau = taus(one, other)
            top = one.argmax(axis=1) == other.argmax(axis=1)
            row = {"backbone": backbone, "k": k, "tau": float(tau.mean())}
            row |= {"tau_low": float(np.quantile(tau, 0.05)), "top_1": float(top.mean())}
            rows.append(row | {"replicates": R, "orders": len(wide) / R})
    names = ["backbone", "k", "tau", "tau_low", "top_1", "replicates", "orders"]
    return pd.DataFrame(rows, columns=names)


def taus(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns Kendall's tau-a of the rows of two tables of means [rows, methods]."""
    first, second = np.array(list(combinations(range(one.shape[1]), 2))).T
    signs = [np.sign(without_rounding(x[:, first] - x[:, second])) for x in (one, other)]
    tau: np.ndarray = (signs[0] * signs[1]).mean(axis=1)
    return tau


def _halves(num: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns pairs of disjoint sets of k of so many replicates, int64 [pairs, k] each."""
    if comb(num, k) * comb(num - k, k) // 2 <= DRAWS:
        pairs = [
            (one, other)
            for one in combinations(range(num), k)
            for other in combinations(sorted(set(range(num)) - set(one)), k)
            if one < other
        ]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    ranks = np.random.default_rng(0).random((DRAWS, num)).argsort(axis=1)
    return ranks[:, :k], ranks[:, k : 2 * k]
