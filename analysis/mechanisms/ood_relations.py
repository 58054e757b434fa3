"""Whether tasks are told apart as out of distribution, and whether contributions say so before.

Sekeh & Wisell (2026, arXiv 2606.14883) measure generalisation as OOD detection: AUROC(i, j) is the
probability that an image of task i scores higher than one of task j by the classes of i (MCM of
Ming et al. 2022, arXiv 2211.13445); the cumulative AUROC has all tasks learnt so far in
distribution, and those that are not learnt yet, or a held-out suite, out of it. They relate both to
contributions:

    pairs   Pearson's r of AUROC(i, j) and the contributions Con_IT(i, j), of images of i to texts
            of j, and Con_TI(i, j), of texts of i to images of j, over ordered pairs i != j
    cost    Pearson's r of the cumulative AUROC, its mean over stages 1..T-1, and the cost of the
            order in theorem T3, the sum over k < T of Con_IT(task k, task k + 1), over orders

Left open there and decided here: r of pairs is computed in every run, with the AUROC and the
contributions of the same model, the untouched backbone ("start") or the one after the last stage
("end"); r of the cost is computed in every replicate, with the untouched backbone's contributions,
which are known before training.

Runs of a replicate share stages, so a replicate is the unit of every interval: Fisher's z of its r
(of pairs: its mean over runs), averaged with a t interval, and turned back. It holds for these
tasks. What chance does with so few of them is said by p: the share of permutations of the tasks of
the contributions whose r is as large in size. Nothing varies at the start, so that r has no
interval there, nor has any r that is the same in all replicates.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.data.results import Results, as_runs
from analysis.data.score_array import OOD_UNLEARNT
from analysis.inference.intervals import Interval, t_interval
from analysis.inference.replicates import are_complete, centred, with_same_tasks
from analysis.mechanisms.contribution_table import Contributions, contribution_table
from analysis.mechanisms.embedding_alignment import spaces
from analysis.mechanisms.stage_means import STAGE_MEANS, stage_means
from analysis.orders.relabelling import share_as_large, slope_p, task_permutations

WAYS = ("image_text", "text_image")
"""Con_IT and Con_TI, from the task that is in distribution to the one that is not."""
PERMUTATIONS = 499
"""Of the tasks, where there are too many to try all."""
FEWEST = 3
"""Pairs, or orders of a replicate, that a correlation is computed from."""
SAME = 1e-12
"""Values that differ by less are equal."""
HEAD = ["backbone", "method"]


def ood_pairs(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns how well every pair of tasks is told apart after the last stage.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, inside, outside) of methods whose orders hold the same
        tasks: mean (AUROC, mean of replicate means), low, high (t interval over replicates), start
        (of the untouched backbone), order_sd, seed_sd (see `robustness.spread`), shared (share of
        the images of `outside` whose class has the name of a class of `inside`: they may show what
        is in distribution), replicates, runs.

    >>> from analysis import metrics, tiny_study
    >>> ood_pairs(tiny_study(), metrics(tiny_study())).empty  # only studies with diagnostic "ood"
    True
    """
    table = contribution_table(_aurocs(results, runs))
    names = {"player": "inside", "target": "outside"}
    table = table.rename(columns=names)[table["player"] != table["target"]].reset_index(drop=True)
    scores = results.scores
    shared = [
        scores.values[:, scores.columns[key]]
        if (key := ("ood_shared", *pair)) in scores.columns
        else np.zeros(1)
        for pair in zip(table["inside"], table["outside"], strict=True)
    ]
    table = table.assign(
        start=table["mean"] - table["drift"],
        shared=[float(np.nanmax(values)) for values in shared],
    )
    columns = ["inside", "outside", "mean", "low", "high", "start", "order_sd", "seed_sd"]
    return table[[*HEAD, *columns, "shared", "replicates", "runs"]]


def _aurocs(results: Results, runs: pd.DataFrame) -> Iterator[Contributions]:
    """Yields the AUROC of all pairs of tasks [runs, inside, outside] of every method with any.

    A task against itself has 0.5 by definition: its images are ties with themselves.
    """
    for used, tasks in with_same_tasks(runs):
        keys = [run._replace(order=tuple(tasks)) for run in as_runs(used)]
        where = results.scores.locate(as_runs(used))
        found = results.scores.ood_pairs(keys, where[:, [0, -1]])
        if found.size and not np.isnan(found).any():
            tables = np.full((*found.shape[:2], len(tasks), len(tasks)), 0.5)
            tables[:, :, ~np.eye(len(tasks), dtype=bool)] = found
            start, end = tables.swapaxes(0, 1)
            yield Contributions(
                kind="ood", runs=used, players=tasks, targets=tasks, values=end, start=start[0]
            )


def ood_stages(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns how well images of the tasks learnt so far are told from others, stage by stage.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, outside, stage) that is defined, with outside "unlearnt"
        (images of all tasks not learnt yet) or "probes" (those of a held-out suite, mean over
        suites): mean (AUROC, mean of replicate means), low, high (t interval over replicates),
        order_sd (see `robustness.spread`), runs.

    >>> from analysis import metrics, tiny_study
    >>> ood_stages(tiny_study(), metrics(tiny_study())).empty  # only studies with diagnostic "ood"
    True
    """
    rows, scores = [], results.scores
    for used, _ in with_same_tasks(runs):
        where = scores.locate(as_runs(used))
        for outside, evaluations in (("unlearnt", [OOD_UNLEARNT]), ("probes", scores.ood_probes)):
            found = scores.along(where, evaluations)
            values = found.mean(axis=2) if evaluations else np.full(where.shape, np.nan)
            head = {name: used[name].iloc[0] for name in HEAD} | {"outside": outside}
            rows += [head | row for row in stage_means(values, used)]
    return pd.DataFrame(rows, columns=[*HEAD, "outside", *STAGE_MEANS])


def ood_relations(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns how contributions between tasks are related to telling them apart.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, relation, stage, contributions), with relation "pairs"
        (stage "start" or "end", contributions one of WAYS) or "cost" (stage "start", "image_text"):
        r, low, high (over replicates), p (see above; NaN where r is), size (number of pairs, or of
        runs), replicates (those in which r is defined). r is NaN where it is defined in none.

    >>> from analysis import metrics, tiny_study
    >>> ood_relations(tiny_study(), metrics(tiny_study())).empty  # only with diagnostic "ood"
    True
    """
    aurocs = {tuple(part.head[name] for name in HEAD): part for part in _aurocs(results, runs)}
    rows = []
    for space in spaces(results, runs):
        head = {name: space.runs[name].iloc[0] for name in HEAD}
        frozen = space.table("image_text", space.where[:1, 0])[0]
        part = aurocs.get(tuple(head.values()))
        for stage, column in (("start", 0), ("end", -1)):
            if part is None:
                break
            told = part.values if stage == "end" else part.start[None]
            for way in WAYS:
                where = space.where[:, column] if stage == "end" else space.where[:1, column]
                names = {"relation": "pairs", "stage": stage, "contributions": way}
                found = _of_pairs(space.table(way, where), told, part.runs)
                rows.append(head | names | found)
        if space.runs["ood_cumulative"].notna().any():
            names = {"relation": "cost", "stage": "start", "contributions": "image_text"}
            rows.append(head | names | _of_cost(frozen, space.tasks, space.runs))
    columns = ["relation", "stage", "contributions", "r", "low", "high", "p", "size", "replicates"]
    return pd.DataFrame(rows, columns=[*HEAD, *columns])


def _of_pairs(scores: np.ndarray, told: np.ndarray, runs: pd.DataFrame) -> dict[str, float]:
    """Returns the correlation of tables [runs, T, T] over ordered pairs of tasks.

    Tables of the untouched backbone are one, whatever the runs.
    """
    T = scores.shape[1]
    others = ~np.eye(T, dtype=bool)
    y = _standardised(told[:, others])
    r = (_standardised(scores[:, others]) * y).sum(axis=1)
    is_one = len(r) == 1 < len(runs)
    replicate = np.zeros(1, int) if is_one else runs["replicate"].to_numpy()
    found = _over_replicates(r, replicate, are_complete(runs))
    null = [
        np.mean((_standardised(scores[:, p[:, None], p][:, others]) * y).sum(axis=1))
        for p in task_permutations(T, PERMUTATIONS)
    ]
    return found | {"p": share_as_large(np.abs(null)), "size": int(others.sum())}


def _of_cost(scores: np.ndarray, tasks: list[str], runs: pd.DataFrame) -> dict[str, float]:
    """Returns the correlation of the cumulative AUROC with the cost of orders, in replicates.

    Args:
        scores: contributions between tasks, [T, T].
        tasks: their names.
        runs: what `metrics` returns, of one method.
    """
    known = runs.dropna(subset="ood_cumulative")
    replicate, y = known["replicate"].to_numpy(), known["ood_cumulative"].to_numpy()
    follows = np.zeros((len(known), len(tasks), len(tasks)))
    for row, order in zip(follows, known["order"], strict=True):
        for one, other in pairwise(order):
            row[tasks.index(one), tasks.index(other)] = 1
    cost = (follows * scores).sum(axis=(1, 2))
    r = np.array(
        [
            float((_standardised(cost[mine][None]) * _standardised(y[mine][None])).sum())
            for mine in (replicate == number for number in np.unique(replicate))
        ]
    )
    complete = are_complete(known)
    found = _over_replicates(r, np.unique(replicate), complete)
    p = np.nan
    if np.isfinite(found["r"]):
        x = centred(follows.reshape(len(known), -1), replicate)
        p = slope_p(x, scores, centred(y, replicate))
    return found | {"p": p, "size": len(known)}


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Returns rows [N, values] with mean 0 and length 1; NaN where all are equal, or too few."""
    found = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    if rows.shape[1] < FEWEST:
        return np.full(rows.shape, np.nan)
    found = np.where(length > SAME, found, np.nan)
    divided: np.ndarray = found / np.where(length > SAME, length, 1)
    return divided


def _over_replicates(r: np.ndarray, replicate: np.ndarray, is_complete: bool) -> dict[str, float]:
    """Returns the mean of correlations with its interval, a replicate being the unit."""
    with np.errstate(divide="ignore"):  # of exactly 1, whose z is infinite
        z = pd.Series(np.arctanh(np.clip(r, -1, 1))).groupby(replicate).mean().dropna()
    found = Interval(float(z.mean()), np.nan, np.nan)
    if np.isfinite(z).all() and len(z) > 1 and np.ptp(z) > SAME:
        found = t_interval(z).only_if(is_complete)
    mean, low, high = (float(np.tanh(value)) for value in found)
    return {"r": mean, "low": low, "high": high, "replicates": len(z)}
