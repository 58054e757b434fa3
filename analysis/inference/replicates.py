"""Replicates as the unit of inference: which runs count, and which are compared with which.

A replicate is one seed with one block of orders. It is complete when all its planned runs are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.inference.intervals import Interval, t_interval
from analysis.run_metrics.metric import DECIMALS, Metric, with_extra


def complete_replicates(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs of one method that statistics rest on: those of complete replicates.

    The orders that finish first share prefixes, so the first part of a replicate is not a sample
    of its orders. Only when no replicate is complete are all complete runs returned.
    """
    complete = runs[_size(runs) == runs["planned"]]
    return complete if len(complete) else runs


def are_complete(runs: pd.DataFrame) -> bool:
    """Returns whether these runs make up complete replicates, so that intervals are valid."""
    return bool((_size(runs) == runs["planned"]).all())


def has_complete(runs: pd.DataFrame) -> bool:
    """Returns whether some replicate of a method is complete."""
    return are_complete(complete_replicates(runs))


def _size(runs: pd.DataFrame) -> pd.Series:
    """Returns how many runs of its replicate are there, for every run."""
    return runs.groupby("replicate")["order"].transform("size")


def over_replicates(values: ArrayLike, runs: pd.DataFrame) -> Interval:
    """Returns the mean over replicates of one value per run, with its t interval.

    Args:
        values: one per run; the mean of a replicate is over those that are not NaN.
        runs: of one method; the interval has no bounds unless their replicates are complete.
    """
    means = pd.Series(np.asarray(values)).groupby(runs["replicate"].to_numpy()).mean()
    return t_interval(means.dropna()).only_if(are_complete(runs))


def centred(values: np.ndarray, replicate: np.ndarray) -> np.ndarray:
    """Returns values [runs, ...] less their means in each replicate."""
    found = np.array(values, float)
    for r in np.unique(replicate):
        found[replicate == r] -= found[replicate == r].mean(axis=0)
    return found


def with_same_tasks(runs: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """Yields the runs of complete replicates and their tasks, method by method.

    Methods whose orders do not all hold the same tasks are left out.
    """
    for _, group in runs.groupby(["backbone", "method"]):
        used = complete_replicates(group)
        sets = {frozenset(order) for order in used["order"].unique()}
        if len(sets) == 1:
            yield used, sorted(next(iter(sets)))


Baseline = str | Mapping[str, str]
"""The method that all others are compared with, or that of every method that is compared."""


def partners(methods: Iterable[str], baseline: Baseline) -> dict[str, str]:
    """Returns the method that each method is compared with.

    Raises:
        ValueError: a baseline is not among the methods.

    >>> partners(["er", "finetune", "lwf"], "finetune")
    {'er': 'finetune', 'lwf': 'finetune'}
    >>> partners(["er", "lwf"], "lwff")
    Traceback (most recent call last):
    ...
    ValueError: Unknown baseline 'lwff'; there are runs of: er, lwf. Did you mean 'lwf'?
    """
    known = sorted(set(methods))
    given = {m: baseline for m in known} if isinstance(baseline, str) else dict(baseline)
    wanted = [baseline] if isinstance(baseline, str) else sorted(set(given.values()))
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise ValueError(
                f"Unknown baseline '{name}'; there are runs of: "
                f"{', '.join(known) or 'no method'}.{hint}"
            )
    return {m: given[m] for m in known if given.get(m, m) != m}


def paired(runs: pd.DataFrame, baseline: Baseline, extra: Sequence[Metric] = ()) -> pd.DataFrame:
    """Returns the runs of all other methods, with every metric as difference to the baseline's run.

    Paired are runs of the same backbone, replicate and order; runs without a partner are left
    out.

    Raises:
        ValueError: no run of a baseline is complete.
    """
    other = runs["method"].map(partners(runs["method"], baseline))
    pair, names = ["backbone", "replicate", "order", "method"], list(with_extra(extra))
    both = runs[other.notna()].assign(partner=other.dropna())
    reference = runs[[*pair, *names]].rename(columns={"method": "partner"})
    both = both.merge(reference, on=[*pair[:3], "partner"], suffixes=("", " of baseline"))
    differences = both[names].to_numpy() - both[[f"{m} of baseline" for m in names]].to_numpy()
    differences = differences.round(DECIMALS)
    return both[runs.columns].assign(**dict(zip(names, differences.T, strict=True)))
