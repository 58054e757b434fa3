"""Where the variance comes from: methods, orders, seeds; tasks, positions, predecessors.

With y[m, r, o] a metric of method m in replicate r on the o-th order of the replicate, the model
is y = mean + method + seed + order + method x seed + method x order, where what every run adds is
part of the order. Seeds and orders are told apart as `blocks` does it, for every design, in the
means over methods and in what methods differ from them by.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import optimize, stats

from analysis.data.results import Results, as_runs
from analysis.inference.intervals import LEVEL
from analysis.inference.replicates import complete_replicates
from analysis.orders.blocks import Blocks
from analysis.orders.ranking import paired_values
from analysis.run_metrics.metrics_table import told_in

SIZE = ["methods", "told", "seeds", "orders", "unit", "possible"]
"""Columns that say how large a study is."""
EFFECTS = ("method", "order", "seed", "method:order", "method:seed")
"""The sources of variance."""
MOST = 1e6
"""Ratio of variances beyond which methods are told apart as well as can be."""
CENTRE = 0.45
"""Place of the estimate of the variance between methods in its confidence distribution. G, whose
law is skewed, is then right to within 0.05 both on average and in its median, if it is 0.4 or more;
at one half its mean is up to 0.10 too low, at 0.4 its median is up to 0.07 too high."""


def variance_components(runs: pd.DataFrame, metric: str = "average_accuracy") -> pd.DataFrame:
    """Returns the variance of a metric by source, over all methods of a backbone.

    Counted are the runs that every method has. A single replicate cannot tell orders from seeds,
    nor how well methods are told apart, so there is no row for it.

    Args:
        runs: what `metrics` returns.
        metric: a column of it.

    Returns:
        One row per (backbone, effect) with two methods and two replicates (with one order in each
        of them, the effects of orders are NaN, and in those of seeds): effect (of EFFECTS),
        variance (truncated at 0), share (of their sum), truncated (whether the estimate was
        negative), in_replicate (what of it is in the mean of a replicate), low, high (of the
        variance of methods: its 95 % interval; NaN otherwise), methods, told (how many of them are
        told which task test data are of), seeds, orders (of a replicate), unit (orders that are
        drawn together, see `Blocks.unit`), possible (number of orders that there are; those of the
        study where all replicates hold the same).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> variance_components(runs)[["effect", "share", "in_replicate"]].round(4)
             effect   share  in_replicate
    0        method  0.9017        0.0103
    1         order  0.0950        0.0000
    2          seed  0.0025        0.0000
    3  method:order  0.0008        0.0000
    4   method:seed  0.0001        0.0000
    """
    rows = []
    for backbone, group in runs.groupby("backbone"):
        wide = paired_values(group, metric)
        index = wide.index.to_frame(index=False)
        if wide.shape[1] < 2 or index["replicate"].nunique() < 2:
            continue
        blocks = Blocks.of(index)
        orders = int(blocks.sizes.min())
        size = {
            "methods": wide.shape[1],
            "told": len(told_in(group).intersection(wide.columns)),
            "seeds": len(blocks.sizes),
            "orders": orders,
            "unit": blocks.unit,
            "possible": float(orders) if blocks.are_same else blocks.possible,
        }
        found = components(wide.to_numpy(float), blocks)
        total = sum(row["variance"] for row in found.values() if row["variance"] > 0)
        for effect, row in found.items():
            variance = float(np.maximum(0.0, row["variance"]))
            head = {"backbone": backbone, "effect": effect, "truncated": row["variance"] < 0}
            share = variance / total if total else np.nan
            rows.append(head | row | {"variance": variance, "share": share} | size)
    names = ["backbone", "effect", "variance", "share", "truncated", "in_replicate", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, *SIZE])


def components(y: np.ndarray, blocks: Blocks) -> dict[str, dict[str, float]]:
    """Returns the variance, maybe negative, of every effect, and what a replicate's mean has of it.

    How well methods are told apart rests on the table of their means in every replicate alone:
    its interaction mean square is the error of a ranking by one replicate, for every design.

    Args:
        y: [runs, methods], without gaps.
        blocks: of the runs.
    """
    q, R = y.shape[1], len(blocks.sizes)
    common = blocks.split(y.mean(axis=1, keepdims=True))
    own = blocks.split(y - y.mean(axis=1, keepdims=True))
    order, error, drawn = (float(part.sum()) / (q - 1) for part in own[1:])
    means = np.array([y[blocks.replicate == r].mean(axis=0) for r in range(R)]).mean(axis=0)
    between = float(means.var(ddof=1))
    drawn = min(max(0.0, drawn), error)
    method, low, high = method_variance(between, error / R, q, R)
    seed = float(common.seed[0]) - (error - drawn) / q
    alike = float(common.order[0]) - order / q
    left = max(0.0, min(float(common.drawn[0]), float(common.between[0])) - drawn / q)
    unknown = {"low": np.nan, "high": np.nan}
    return {
        "method": {"variance": method, "in_replicate": method, "low": low, "high": high},
        "order": {"variance": alike, "in_replicate": left, **unknown},
        "seed": {"variance": seed, "in_replicate": max(0.0, seed), **unknown},
        "method:order": {"variance": order, "in_replicate": drawn, **unknown},
        "method:seed": {"variance": error - drawn, "in_replicate": error - drawn, **unknown},
    }


def method_variance(
    between: float, error: float, methods: int, replicates: int
) -> tuple[float, float, float]:
    """Returns the variance of true method means, with its interval, from that of the seen ones.

    F = between / error follows a noncentral F law, whose noncentrality is (methods - 1) times the
    variance over the error. The estimate is the variance under which F would be at the quantile
    CENTRE of its law, which is a little above the median-unbiased one; the bounds are those under
    which F would be among the 2.5 % lowest or highest (Steiger 2004, Psychological Methods 9).

    Args:
        between: variance of the means of methods over all replicates.
        error: what of it is error.
        methods: their number.
        replicates: their number.
    """
    if error < 1e-15 or between / error > MOST:
        return between, between, between
    top, bottom = methods - 1, (methods - 1) * (replicates - 1)
    F = between / error

    def at(tail: float) -> float:
        def excess(ratio: float) -> float:
            shift = top * ratio
            law = stats.ncf.cdf(F, top, bottom, shift) if shift else stats.f.cdf(F, top, bottom)
            return float(law) - tail

        if excess(0.0) <= 0:
            return 0.0
        limit = 1.0
        while excess(limit) > 0:
            limit *= 4
        return error * float(optimize.brentq(excess, 0.0, limit))

    return at(CENTRE), at((1 + LEVEL) / 2), at((1 - LEVEL) / 2)


def reliability(found: pd.DataFrame, seeds: int, orders: int) -> dict[str, float]:
    """Returns generalisability G and dependability Phi of a study of that size.

    G = s_M / (s_M + error), with s_M the variance between methods and as error what the
    interactions of the method leave in its mean: how well the study ranks methods. Phi also
    counts the main effects of seed and order as error: how well it places them (Cronbach et al.
    1972, Brennan 2001). More orders in a replicate leave less of the orders' effects, nothing once
    they are all there.

    Args:
        found: the components of one backbone, as `variance_components` returns them.
        seeds: number of replicates.
        orders: orders of one replicate, at most `possible`.

    Returns:
        g, g_low, g_high (95 % interval that comes from the variance between methods), phi.
    """
    row = found.set_index("effect")
    now, possible = int(row["orders"].iloc[0]), float(row["possible"].iloc[0])
    all_now = now >= possible
    left = 1.0 if all_now else (1 / orders - 1 / possible) / (1 / now - 1 / possible)
    part = row["in_replicate"].fillna(0.0)  # with one order, what it does counts as the seed's
    relative = (part["method:seed"] + left * part["method:order"]) / seeds
    absolute = relative + (part["seed"] + left * part["order"]) / seeds

    def share(method: float, error: float) -> float:
        return float(method / (method + error)) if method > 0 else 0.0

    method, low, high = (float(row[name]["method"]) for name in ("variance", "low", "high"))
    return {
        "g": share(method, relative),
        "g_low": share(low, relative),
        "g_high": share(high, relative),
        "phi": share(method, absolute),
    }


def d_study(
    found: pd.DataFrame, seeds: Sequence[int] | None = None, orders: Sequence[int] | None = None
) -> pd.DataFrame:
    """Returns how reliable other sizes of study would be, to choose between orders and seeds.

    Args:
        found: what `variance_components` returns.
        seeds: numbers of replicates to look at; by default from 1 to four times what there is.
        orders: orders per replicate; by default likewise, in whole blocks of orders that balance
            each other, and none above the number of orders that there are.

    Returns:
        One row per (backbone, seeds, orders): runs (per method), g, g_low, g_high, phi (see
        `reliability`), current (whether this is the size of the study).

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
            for o in orders or orders_to_look_at(part):
                size = {"backbone": backbone, "seeds": s, "orders": o, "runs": s * o}
                rows.append(size | reliability(part, s, o) | {"current": (s, o) == now})
    names = ["backbone", "seeds", "orders", "runs", "g", "g_low", "g_high", "phi", "current"]
    return pd.DataFrame(rows, columns=names)


def orders_to_look_at(found: pd.DataFrame) -> list[int]:
    """Returns numbers of orders per replicate that a study of this design could have.

    One order in a replicate does not tell what more of them would do.
    """
    now, unit, possible = (found[name].iloc[0] for name in ("orders", "unit", "possible"))
    sizes = [size for size in _sizes(int(now)) if size % int(unit) == 0 and size <= possible]
    return sizes if sizes and now > 1 else [int(now)]


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
