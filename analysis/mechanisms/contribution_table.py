"""How robust a contribution is: one format and one set of numbers for every type of them.

A contribution says what a player does to a target in one run: a task to the accuracy on another
("gain"), the images of a task to the texts of another ("image_text"), a method to a metric
("method"), a tower or a modality to the accuracy on a task ("tower", "modality"). Whatever the
kind, it is observed once per run, and the question is the same: is it a property of player and
target, or of the order and the seed that it happened to be observed with?
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference.intervals import LEVEL, without_rounding
from analysis.inference.replicates import are_complete, centred
from analysis.orders.blocks import Blocks
from analysis.orders.robustness import Spread, bad_order_average, spreads

HEAD = ["kind", "backbone", "method"]
Order = tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Contributions:
    """Holds contributions of one type, in the runs of one method's complete replicates.

    Attributes:
        kind: the type of player, target and value, for example "gain".
        runs: what `metrics` returns, of one backbone and method; [runs].
        players: what contributes.
        targets: to what.
        values: [runs, players, targets], without gaps.
        start: the value before any training [players, targets]; 0 for kinds that are changes.
        noise: changes from the start up to this size are none; in the unit of the values.
    """

    kind: str
    runs: pd.DataFrame
    players: list[str]
    targets: list[str]
    values: np.ndarray
    start: np.ndarray
    noise: float = 0.0

    @cached_property
    def head(self) -> dict[str, str]:
        """Returns kind, backbone and method."""
        first = self.runs.iloc[0]
        return {"kind": self.kind, "backbone": first["backbone"], "method": first["method"]}

    @cached_property
    def flat(self) -> np.ndarray:
        """Returns the values as [runs, cells]."""
        return self.values.reshape(len(self.values), -1)

    @cached_property
    def changes(self) -> np.ndarray:
        """Returns the values less where they started, [runs, cells]."""
        changes: np.ndarray = self.flat - self.start.ravel()
        return changes

    @cached_property
    def pairs(self) -> dict[str, np.ndarray]:
        """Returns the player and the target of every cell."""
        return {
            "player": np.repeat(self.players, len(self.targets)),
            "target": np.tile(self.targets, len(self.players)),
        }


def contribution_values(found: Iterable[Contributions]) -> pd.DataFrame:
    """Returns contributions in the long format: a row per run and cell.

    Returns:
        kind, backbone, method, replicate, order (tuple), player, target, value, start.

    >>> from analysis import gains, metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = contribution_values(gains(results, runs))
    >>> found[["method", "replicate", "player", "target", "value"]].round(3).head(2)
         method  replicate player target  value
    0  finetune          0   cars   cars    0.6
    1  finetune          0   cars   pets    0.0
    """
    parts = []
    for part in found:
        runs = part.runs[["replicate", "order"]]
        long = runs.loc[runs.index.repeat(part.flat.shape[1])].reset_index(drop=True)
        cells = {name: np.tile(column, len(runs)) for name, column in part.pairs.items()}
        start = np.tile(part.start.ravel(), len(runs))
        parts.append(long.assign(**part.head, **cells, value=part.flat.ravel(), start=start))
    names = [*HEAD, "replicate", "order", "player", "target", "value", "start"]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def contribution_table(found: Iterable[Contributions]) -> pd.DataFrame:
    """Returns what is known of every contribution, and how far it is a property of its pair.

    Returns:
        One row per (kind, backbone, method, player, target): mean (of replicate means), low, high
        (t interval over replicates), drift (the mean less where it started), order_sd,
        order_sd_low, order_sd_high, seed_sd, seed_sd_low and seed_sd_high (see
        `robustness.spread`), order_share (of the order in both variances), before and after (mean
        over runs in which the player is learnt before and after the target), sign (share of runs
        with a change above the noise minus share below it: +1 always up, -1 always down, 0 the
        order decides), signal (drift^2 / (drift^2 + order_sd^2): 1 = a property of the pair, 0 =
        of the order), q05 and worst_tenth (of all runs), position and predecessor (share of the
        variance over orders that the player's place explains, and what was learnt just before
        it), replicates, runs. NaN where undefined.

    >>> from analysis import gains, metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = contribution_table(gains(results, runs))
    >>> found[["method", "player", "target", "mean", "signal"]].round(2).head(3)
         method player    target  mean  signal
    0  finetune   cars      cars  0.61    1.00
    1  finetune   cars      pets -0.10    0.45
    2  finetune   cars  textures -0.10    0.47
    """
    parts = [_table(part) for part in found]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)


def _table(part: Contributions) -> pd.DataFrame:
    runs, y, start = part.runs, part.flat, part.start.ravel()
    # Of changes, which are exactly 0 where nothing changed.
    means = pd.DataFrame(part.changes).groupby(runs["replicate"].to_numpy()).mean().to_numpy()
    low, high = _t_bounds(means) if are_complete(runs) else (np.nan, np.nan)
    drift = means.mean(axis=0)
    apart = spreads(Blocks.of(runs), y)
    order, seed = apart["order_sd"].to_numpy() ** 2, apart["seed_sd"].to_numpy() ** 2
    found = pd.DataFrame(
        part.pairs
        | {"mean": start + drift, "low": start + low, "high": start + high, "drift": drift}
        | apart.to_dict("series")
        | {
            "order_share": _ratio(order, order + seed),
            "before": _mean_where(part, operator.lt),
            "after": _mean_where(part, operator.gt),
            "sign": (part.changes > part.noise).mean(axis=0)
            - (part.changes < -part.noise).mean(axis=0),
            "signal": _ratio(drift**2, drift**2 + order),
            "q05": np.quantile(y, 0.05, axis=0),
            "worst_tenth": [bad_order_average(column) for column in y.T],
            "position": _explained(part, _position),
            "predecessor": _explained(part, _predecessor),
            "replicates": len(means),
            "runs": len(y),
        }
    )
    return found.assign(**part.head)[_COLUMNS]


_COLUMNS = [
    *(*HEAD, "player", "target", "mean", "low", "high", "drift"),
    *(*Spread._fields, "order_share", "before", "after"),
    *("sign", "signal", "q05", "worst_tenth", "position", "predecessor", "replicates", "runs"),
]


def agreement(found: Iterable[Contributions]) -> pd.DataFrame:
    """Returns how far two runs agree about which contributions are large and which are small.

    Returns:
        One row per (kind, backbone, method): cells, runs, tau (Kendall's, of the cells in two
        runs, over all pairs of runs; cells that are tied in either run are left out, so that
        without ties it is the mean tau).

    >>> from analysis import gains, metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> agreement(gains(results, runs)).set_index("method")["tau"].round(2)
    method
    finetune    0.67
    replay      0.68
    Name: tau, dtype: float64
    """
    rows = []
    for part in found:
        size = {"contributions": part.flat.shape[1], "runs": len(part.flat)}
        rows.append(part.head | size | {"tau": mean_tau(part.flat)})
    return pd.DataFrame(rows, columns=[*HEAD, "contributions", "runs", "tau"])


def contribution_types(known: pd.DataFrame, agreed: pd.DataFrame) -> pd.DataFrame:
    """Returns how robust the contributions of a kind are, all together.

    Args:
        known: what `contribution_table` returns.
        agreed: what `agreement` returns for the same contributions.

    Returns:
        One row per (kind, backbone, method): contributions, certain (share whose interval
        excludes no change; NaN without intervals), order_sd, seed_sd, signal, position, predecessor
        (medians over contributions), sign (median of its absolute value), tau (see `agreement`).

    >>> from analysis import gains, metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> parts = list(gains(results, runs))
    >>> found = contribution_types(contribution_table(parts), agreement(parts))
    >>> found[["kind", "method", "contributions", "certain"]].round(2)
       kind    method  contributions  certain
    0  gain  finetune              9      1.0
    1  gain    replay              9      1.0
    """
    drift, half = known["drift"].abs(), (known["high"] - known["low"]) / 2
    certain = (drift > half).where(half.notna())
    columns = {name: known[name] for name in ("order_sd", "seed_sd", "signal")}
    columns |= {"sign": known["sign"].abs()}
    columns |= {name: known[name] for name in ("position", "predecessor")}
    wide = known[HEAD].assign(certain=certain.astype(float), **columns)
    grouped = wide.groupby(HEAD, sort=False)
    found = grouped[[*columns]].median().assign(certain=grouped["certain"].mean())
    return agreed.drop(columns="runs").merge(found.reset_index(), on=HEAD)


def mean_tau(table: np.ndarray) -> float:
    """Returns Kendall's tau of two rows of a table [rows, items], over all pairs of rows.

    A pair of items adds its sign s_r in row r, and sum over r != r' of s_r s_r' is
    (sum s)^2 - sum s^2, so that no pair of rows has to be looked at. NaN for fewer than two rows.
    """
    agreed = possible = 0.0
    for i in range(1, table.shape[1]):
        signs = np.sign(without_rounding(table[:, i, None] - table[:, :i]))
        untied = np.abs(signs)
        own = untied.sum(axis=0)
        agreed += float((signs.sum(axis=0) ** 2 - own).sum())
        possible += float((own**2 - own).sum())
    return agreed / possible if possible else np.nan


def _t_bounds(means: np.ndarray) -> tuple[np.ndarray, np.ndarray] | tuple[float, float]:
    """Returns bounds of the t interval of every column of means [replicates, columns]."""
    m = len(means)
    if m < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + LEVEL) / 2, m - 1) * means.std(axis=0, ddof=1) / np.sqrt(m)
    return means.mean(axis=0) - half, means.mean(axis=0) + half


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 1e-24)
    return ratio


def _mean_where(part: Contributions, first: Callable[[np.ndarray, np.ndarray], Any]) -> np.ndarray:
    """Returns the mean of every cell over the runs whose player and target are placed so."""
    orders = part.runs["order"]
    place = {
        name: np.array([order.index(name) if name in order else np.nan for order in orders])
        for name in {*part.players, *part.targets}
    }
    pairs = zip(*part.pairs.values(), strict=True)
    chosen = np.column_stack([first(place[player], place[target]) for player, target in pairs])
    count, total = chosen.sum(axis=0), np.where(chosen, part.flat, 0).sum(axis=0)
    mean: np.ndarray = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean


def _explained(part: Contributions, feature: Callable[[Order, str], object]) -> np.ndarray:
    """Returns the share of variance inside replicates that a feature of the player explains.

    omega^2 = (SS - df MS_e) / (SS_total + MS_e), truncated at 0 (as in `variance.task_factors`).
    NaN where the player is no task, or too few runs are there to tell.
    """
    shares = np.full(part.start.shape, np.nan)
    replicate = part.runs["replicate"].to_numpy()
    for i, player in enumerate(part.players):
        if not all(player in order for order in part.runs["order"]):
            continue
        levels = pd.Series([feature(order, player) for order in part.runs["order"]])
        x = centred(pd.get_dummies(levels).to_numpy(float), replicate)
        y = centred(part.values[:, i], replicate)
        solution, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
        total, left = (y**2).sum(axis=0), ((y - x @ solution) ** 2).sum(axis=0)
        spare = len(y) - len(np.unique(replicate)) - int(rank)
        if spare > 0:
            error = left / spare
            shares[i] = _ratio(np.maximum(0, total - left - rank * error), total + error)
    return shares.ravel()


def _position(order: Order, player: str) -> object:
    return order.index(player)


def _predecessor(order: Order, player: str) -> object:
    return order[order.index(player) - 1] if order[0] != player else ""
