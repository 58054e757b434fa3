"""Is a published order an outlier among others? From one number per order.

A published order is held against orders that are not published, each with one number. Two answers
that assume different things:

- t: if the numbers of random orders follow a normal law, the next one lies within
  mean +- t(n-1) SD sqrt(1 + 1/n) of n others. p is that of the published number as such a draw.
- rank: whatever the law, n + 1 random orders are exchangeable, so the share of them that lie at
  least as far from the rest as the published one, itself included, is an exact p; it cannot be
  below 1/(n+1).

Several methods or published orders are one family: p is multiplied by their number, and intervals
have the level 1 - 5 %/K (Bonferroni), so some order is wrongly called an outlier in at most 5 % of
studies.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from analysis.data.order_scores import OrderScores
from analysis.inference.intervals import LEVEL

FEWEST = 3
"""Other orders below which an SD says next to nothing, so there is no verdict."""
APART = 1e-9
"""Relative to the largest number: differences below it come from rounding."""
COLUMNS = [
    "method", "order", "value", "orders", "mean", "sd", "away", "low", "high", "p", "rank",
    "p_rank", "floor", "verdict",
]  # fmt: skip


class Placed(NamedTuple):
    """Holds where a number lies among others; NaN where the others cannot say."""

    mean: float
    sd: float
    away: float
    """SDs of the others from their mean."""
    low: float
    high: float
    p: float
    """Two-sided, of the next draw from a normal law."""
    p_rank: float
    """Exact for exchangeable orders."""


def place(value: float, others: np.ndarray, family: int = 1) -> Placed:
    """Returns where a number lies among those of other orders.

    Args:
        value: of the published order.
        others: of the other orders.
        family: how many such questions are asked together.

    >>> found = place(41.4, np.array([34.6, 32.6, 34.3, 35.0, 34.5, 32.8, 32.3, 32.5, 33.2]))
    >>> round(found.mean, 1), round(found.sd, 2), round(found.away, 1), round(found.p, 4)
    (33.5, 1.06, 7.4, 0.0001)
    >>> found.p_rank
    0.1
    """
    n, mean = len(others), float(np.mean(others)) if len(others) else np.nan
    sd = float(np.std(others, ddof=1)) if n > 1 else np.nan
    if n < FEWEST:
        return Placed(mean, sd, np.nan, np.nan, np.nan, np.nan, np.nan)
    p_rank = _rank_p(value, others)
    if sd <= APART * np.abs([value, *others]).max():  # no spread: nothing to measure distance by
        return Placed(mean, 0.0, np.nan, np.nan, np.nan, np.nan, p_rank)
    error = sd * np.sqrt(1 + 1 / n)
    half = t.ppf(1 - (1 - LEVEL) / family / 2, n - 1) * error
    p = 2 * t.sf(abs(value - mean) / error, n - 1)
    away = (value - mean) / sd
    return Placed(mean, sd, away, mean - half, mean + half, min(1.0, float(family * p)), p_rank)


def _rank_p(value: float, others: np.ndarray) -> float:
    """Returns the share of all orders that lie at least as far from the rest as this one.

    The distance of a number from the mean of the others is n + 1 over n times that from the mean
    of all, so the latter ranks them.
    """
    every = np.append(others, value)
    far = np.abs(every - every.mean())
    slack = APART * np.abs(every).max()
    return float(np.mean(far >= far[-1] - slack))


def published_orders(scores: OrderScores) -> pd.DataFrame:
    """Returns where every published order lies among the orders that are not published.

    Returns:
        One row per method and published order: method, order, value, orders (the others), mean
        and sd of the others, away (in SDs), low and high (where the next order lies with 95 %
        probability), p, rank (1 = the highest of all), p_rank, floor (the least p_rank there can
        be), verdict ("outlier", "within", or "" where the others cannot say).

    >>> from analysis.data.order_scores import ROWS
    >>> rows = [("er", str(i), 0, v, i == 0) for i, v in enumerate([9.0, 5.0, 5.2, 4.9, 5.1])]
    >>> found = published_orders(OrderScores(pd.DataFrame(rows, columns=ROWS)))
    >>> found[["order", "value", "orders", "verdict"]]
      order  value  orders  verdict
    0     0    9.0       4  outlier
    """
    means = scores.means
    others = {
        str(method): part.loc[~part["published"], "value"].to_numpy(float)
        for method, part in means.groupby("method")
    }
    asked = means[means["published"]]
    family = max(1, sum(len(others[method]) >= FEWEST for method in asked["method"]))
    rows = []
    for method, order, value in asked[["method", "order", "value"]].to_numpy(object):
        found, n = place(value, others[method], family), len(others[method])
        rank = 1 + int(np.sum(others[method] > value))
        verdict = "" if np.isnan(found.p) else "outlier" if found.p < 1 - LEVEL else "within"
        head = [method, order, value, n, *found[:-1], rank, found.p_rank]
        rows.append([*head, 1 / (n + 1), verdict])
    return pd.DataFrame(rows, columns=COLUMNS)


def methods_by_order(scores: OrderScores) -> pd.DataFrame:
    """Returns how pairs of methods differ on the same orders, and on the published one.

    Returns:
        One row per pair of methods and published order: method minus baseline over the orders of
        both that are not published: orders, mean, low and high (95 % t interval over orders,
        Bonferroni over pairs), ahead (share of orders, ties one half); and on the published
        order: order, value, p of such a difference on one more order (as in `published_orders`),
        agrees (whether its sign is that of the mean).

    >>> from analysis.data.order_scores import ROWS
    >>> rows = [(m, str(i), 0, i + d, i == 0) for m, d in (("a", 0), ("b", 2)) for i in range(4)]
    >>> found = methods_by_order(OrderScores(pd.DataFrame(rows, columns=ROWS)))
    >>> found[["method", "baseline", "orders", "mean", "ahead", "value"]]
      method baseline  orders  mean  ahead  value
    0      b        a       3   2.0    1.0    2.0
    """
    columns = ["method", "baseline", "orders", "mean", "low", "high", "ahead"]
    columns += ["order", "value", "p", "agrees"]
    table = scores.means.pivot(index="order", columns="method", values="value")
    published = scores.published
    pairs = list(combinations(scores.methods, 2))
    rows = []
    for baseline, method in pairs:
        gain = (table[method] - table[baseline]).dropna()
        others = gain[~gain.index.isin(published)].to_numpy(float)
        if not len(others):
            continue
        low, high = _mean_interval(others, len(pairs))
        ahead = float(np.mean(others > 0) + np.mean(others == 0) / 2)
        head = [method, baseline, len(others), float(others.mean()), low, high, ahead]
        for order in [name for name in published if name in gain.index]:
            value = float(gain[order])
            p = place(value, others, len(pairs)).p
            rows.append([*head, order, value, p, bool(value * others.mean() > 0)])
    return pd.DataFrame(rows, columns=columns)


def _mean_interval(values: np.ndarray, family: int) -> tuple[float, float]:
    n = len(values)
    if n < FEWEST:
        return np.nan, np.nan
    half = t.ppf(1 - (1 - LEVEL) / family / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)
