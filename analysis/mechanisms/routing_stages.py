"""For whose task methods that are not told of which task a sample is take it, stage by stage."""

import numpy as np
import pandas as pd

from analysis.data.results import Results, as_runs
from analysis.inference.replicates import with_same_tasks
from analysis.mechanisms.stage_means import STAGE_MEANS, stage_means

HEAD = ["backbone", "method"]


def routing_stages(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns how much of the answers comes from what belongs to tasks learnt.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, samples, stage) that is defined, with samples "own" (those
        of tasks learnt, answered by their own task), "others" (the same, by other tasks learnt),
        "unlearnt" (those of tasks not learnt yet, by any) or "probes" (those of held-out suites, by
        any; mean over suites): mean (share of the answers, mean of replicate means), low, high (t
        interval over replicates), order_sd (see `robustness.spread`), runs.

    >>> from analysis import metrics, tiny_study
    >>> routing_stages(tiny_study(), metrics(tiny_study())).empty  # only with diagnostic "routing"
    True
    """
    rows, scores = [], results.scores
    for used, tasks in with_same_tasks(runs):
        keys = as_runs(used)
        where = scores.locate(keys)
        found = _of_tasks(scores.routing(keys, where, [run.order for run in keys]))
        if probes := [name for name in scores.routed if name not in tasks]:
            of_probes = scores.routing(keys, where, [probes] * len(keys))
            found["probes"] = _taken(of_probes).mean(axis=-1)
        head = {name: used[name].iloc[0] for name in HEAD}
        for samples, values in found.items():
            rows += [head | {"samples": samples} | row for row in stage_means(values, used)]
    return pd.DataFrame(rows, columns=[*HEAD, "samples", *STAGE_MEANS])


def _of_tasks(shares: np.ndarray) -> dict[str, np.ndarray]:
    """Returns means over tasks [runs, T + 1]; NaN where there are none of the kind.

    Args:
        shares: [runs, T + 1, T, T]: of task j in the answers to task i, both by places in the run.
    """
    learnt = _learnt(shares)
    own = np.diagonal(shares, axis1=-2, axis2=-1)
    taken = _taken(shares)
    return {
        "own": _mean(own, learnt),
        "others": _mean(taken - own, learnt),
        "unlearnt": _mean(taken, ~learnt),
    }


def _learnt(shares: np.ndarray) -> np.ndarray:
    """Returns which tasks are learnt after each stage: bool [T + 1, T]."""
    return np.tri(shares.shape[1], shares.shape[-1], -1, dtype=bool)


def _taken(shares: np.ndarray) -> np.ndarray:
    """Returns the share of all tasks learnt [..., T + 1, samples]; NaN before there is one."""
    learnt = _learnt(shares)
    taken: np.ndarray = shares.sum(axis=-1, where=learnt[:, None, :])
    taken[:, 0] = np.nan
    return taken


def _mean(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Returns the mean over some tasks of every stage; NaN over none."""
    count = of.sum(axis=-1)
    found: np.ndarray = values.sum(axis=-1, where=of) / np.where(count, count, np.nan)
    return found
