"""All metrics of all runs of a study, as one table."""

from collections.abc import Sequence

import pandas as pd

from analysis.data.results import RUN, Results, as_runs
from analysis.data.score_array import OOD_UNLEARNT
from analysis.run_metrics.metric import DECIMALS, RECALLS, Metric, with_extra


def metrics(
    results: Results, reference: str = "joint", extra: Sequence[Metric] = ()
) -> pd.DataFrame:
    """Returns all metrics of every finished run.

    A run is finished when its last stage was measured. Metrics that need a score which was not
    measured are NaN for that run; `undefined_metrics` says which.

    Args:
        results: what `load`, `from_matrices` or `read_matrices` returns.
        reference: the method that intransigence is measured against, on the same backbone,
            replicate and order; trained jointly on the tasks of every prefix.
        extra: metrics of your own.

    Returns:
        One row per run: backbone, method, replicate, seed, design, block, order (tuple), knows_task
        (whether the method is told which task test data are of; NA: not known), planned (number of
        runs that its replicate holds for this backbone and method, finished or not), train_seconds
        (of its stages, as if trained alone; NaN where not recorded), and one column per entry of
        METRICS and of `extra`; NaN where undefined.

    Raises:
        ValueError: the key of an extra metric is taken.

    >>> from analysis import tiny_study
    >>> metrics(tiny_study()).groupby("method")[["average_accuracy", "bwt"]].mean().round(3)
              average_accuracy    bwt
    method
    finetune             0.589 -0.401
    replay               0.742 -0.171
    """
    chosen = with_extra(extra)
    runs = results.runs
    planned = runs.groupby(RUN[:3])["order"].transform("size")
    told = runs["method"].map(results.knows_task).astype("boolean")
    runs = runs.assign(knows_task=told, planned=planned)
    finished = runs[results.scores.are_finished(as_runs(runs))].drop(columns=["missing", "error"])
    parts = [
        _with_metrics(results, part, reference, chosen)
        for _, part in finished.groupby(finished["order"].map(len))
    ]
    if not parts:
        return finished.reindex(columns=[*finished.columns, "train_seconds", *chosen])
    return pd.concat(parts).sort_index().reset_index(drop=True)


def told_in(table: pd.DataFrame) -> frozenset[str]:
    """Returns the methods that are told which task test data are of, as far as a table says so."""
    if not {"method", "knows_task"} <= {*table.columns}:
        return frozenset()
    return frozenset(table.loc[table["knows_task"].astype("boolean").fillna(False), "method"])


def with_knowledge(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns a table of methods with `knows_task` as their runs have it; NA where they do not."""
    known = dict(runs[["method", "knows_task"]].to_numpy()) if "knows_task" in runs else {}
    return table.assign(knows_task=table["method"].map(known).astype("boolean"))


def _with_metrics(
    results: Results, runs: pd.DataFrame, reference: str, chosen: dict[str, Metric]
) -> pd.DataFrame:
    """Returns the metrics of runs of one length."""
    keys, scores = as_runs(runs), results.scores
    where = scores.locate(keys)
    R = scores.matrices(keys, where)
    references = {m: results.in_study_of(m, reference) for m in {run.method for run in keys}}
    joint = scores.matrices([run._replace(method=references[run.method]) for run in keys])
    arrays = {
        "task": R,
        "reference": joint - R,
        "probe": scores.along(where, scores.probes),
        "retrieval": scores.along(where, scores.retrieval(("i2t_r1", "t2i_r1"))),
        "ood": scores.ood_pairs(keys, where),
        "ood_unlearnt": scores.along(where, [OOD_UNLEARNT]),
        "ood_probe": scores.along(where, scores.ood_probes),
    } | {recall: scores.along(where, scores.retrieval((recall,))) for recall in RECALLS}
    values = {name: metric.function(arrays[metric.of]) for name, metric in chosen.items()}
    # Sums in another task order differ in their last bits; equal results must compare equal.
    rounded = {name: value.round(DECIMALS) for name, value in values.items()}
    return runs.assign(train_seconds=results.train_seconds(keys), **rounded)
