"""Where accuracy comes from: Shapley values of modalities and towers.

A study may measure what every coalition of modalities, or of towers with their trained weights, is
worth in accuracy. The Shapley value shares v(all) - v(none) out
among the players: each gets its mean marginal worth over all orders in which they may join,

    phi_p = sum over S without p of |S|! (P - |S| - 1)! / P! (v(S + p) - v(S)).

Of MM-SHAP the values are the shares themselves, of the fit of image and text.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from analysis.data.results import Results, as_runs
from analysis.inference.replicates import over_replicates, with_same_tasks
from analysis.mechanisms.contribution_table import Contributions

PLAYERS = {
    "modality": ("image", "text"),
    "mm_shap": ("image", "text"),
    "tower": ("vision", "text", "joint"),
}
"""By kind, which is also the split of the results; a metric there names a coalition."""


def coalition(players: Sequence[str]) -> str:
    """Returns what the results call a coalition."""
    return "+".join(players) or "none"


def subsets(players: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns all coalitions, the empty one first."""
    return [found for k in range(len(players) + 1) for found in combinations(players, k)]


def shapley(worth: np.ndarray, players: Sequence[str]) -> np.ndarray:
    """Returns Shapley values [..., P] of games of worth [..., 2^P], in the order of `subsets`."""
    sets = subsets(players)
    place = {found: i for i, found in enumerate(sets)}
    values = []
    for player in players:
        value = np.zeros(worth.shape[:-1])
        for found in sets:
            if player in found:
                rest = tuple(other for other in found if other != player)
                weight = factorial(len(rest)) * factorial(len(players) - len(found))
                gained = worth[..., place[found]] - worth[..., place[rest]]
                value += weight / factorial(len(players)) * gained
        values.append(value)
    return np.stack(values, axis=-1)


def attributions(results: Results, runs: pd.DataFrame) -> Iterator[Contributions]:
    """Yields the Shapley values of all players for the final accuracy on every task.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Yields:
        Per (backbone, method) and kind of PLAYERS that was measured: values[run, player, task];
        start: those at stage 0 (of towers, which have not changed there: 0).

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> part = next(attributions(results, runs))
    >>> part.kind, part.players, part.values.mean(axis=(0, 2)).round(2)
    ('modality', ['image', 'text'], array([0.41, 0.12]))
    """
    for used, tasks, kind, values in _measured(results, runs):
        yield Contributions(
            kind=kind,
            runs=used,
            players=list(PLAYERS[kind]),
            targets=tasks,
            values=values[:, -1].swapaxes(1, 2),
            start=values[0, 0].T,
            noise=1e-9,
        )


def attribution_stages(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the Shapley values of all players stage by stage, means over tasks.

    Returns:
        One row per (backbone, method, kind, player, stage): mean, low, high (t interval over
        replicates), runs.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = attribution_stages(results, runs)
    >>> found[["method", "player", "stage", "mean"]].round(3).head(4)
         method player  stage   mean
    0  finetune  image      0  0.245
    1  finetune  image      1  0.363
    2  finetune  image      2  0.407
    3  finetune  image      3  0.412
    """
    rows = []
    for used, _, kind, values in _measured(results, runs):
        head = {name: used[name].iloc[0] for name in ("backbone", "method")} | {"kind": kind}
        for place, player in enumerate(PLAYERS[kind]):
            for stage, own in enumerate(values[..., place].mean(axis=2).T):
                row = head | {"player": player, "stage": stage}
                rows.append(row | over_replicates(own, used)._asdict() | {"runs": len(used)})
    names = ["backbone", "method", "kind", "player", "stage", "mean", "low", "high", "runs"]
    return pd.DataFrame(rows, columns=names)


def _measured(
    results: Results, runs: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, list[str], str, np.ndarray]]:
    """Yields runs, tasks, kind and Shapley values [runs, T + 1, tasks, players] per method."""
    scores = results.scores
    for used, tasks in with_same_tasks(runs):
        for kind, players in PLAYERS.items():
            evaluations = [
                (kind, task, coalition(found)) for task in tasks for found in subsets(players)
            ]
            if all(evaluation in scores.columns for evaluation in evaluations):
                where = scores.locate(as_runs(used))
                worth = scores.along(where, evaluations)
                worth = worth.reshape(*where.shape, len(tasks), 2 ** len(players))
                if not np.isnan(worth).any():
                    yield used, tasks, kind, shapley(worth, players)
