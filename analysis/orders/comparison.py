"""The one table that compares methods."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.data.results import Origin, Results
from analysis.inference.replicates import (
    Baseline,
    are_complete,
    complete_replicates,
    over_replicates,
    partners,
)
from analysis.orders.robustness import Spread, by_order, spread
from analysis.run_metrics.metric import METRICS, Metric
from analysis.run_metrics.metrics_table import metrics, with_knowledge

COMPARED = ("average_accuracy", "forgetting_max", "bwt", "zero_shot_erosion", "retrieval_erosion")
"""Metrics of the comparison table."""
BOUNDS = ("", "_low", "_high")
PREFERRED_BASELINE = "finetune"


def preferred_baseline(runs: pd.DataFrame) -> str | None:
    """Returns the method that the others are compared with; None if there are no others.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> preferred_baseline(runs)
    'finetune'
    """
    methods = sorted(set(runs["method"]))
    if len(methods) < 2:
        return None
    return PREFERRED_BASELINE if PREFERRED_BASELINE in methods else methods[0]


def preferred_baselines(runs: pd.DataFrame, origins: Mapping[str, Origin]) -> dict[str, str]:
    """Returns the method that each other one is compared with, where studies were combined.

    The name is that of the `preferred_baseline`; if several studies hold a method of that name,
    theirs differ, and then every method is compared with the one of its own study.

    Args:
        runs: what `metrics` returns.
        origins: those of the results; {} for a single study.

    >>> from analysis import combine, from_matrices, metrics
    >>> A, B = (
    ...     combine({m: from_matrices([[[0.9, 0.2], [x, 0.8]]], [("a", "b")], m) for m in both})
    ...     for both, x in ((("er", "lwf"), 0.7), (("er", "ewc"), 0.6))
    ... )
    >>> both = combine({"A": A, "B": B})
    >>> preferred_baselines(metrics(both), both.origins)
    {'ewc': 'er (B)', 'lwf': 'er (A)'}
    """
    found = {m: origins.get(m, Origin(m, ())) for m in sorted(set(runs["method"]))}
    names = sorted({origin.method for origin in found.values()})
    if not names:
        return {}
    name = PREFERRED_BASELINE if PREFERRED_BASELINE in names else names[0]
    holders = [m for m, origin in found.items() if origin.method == name]

    def near(method: str) -> str:
        home = set(found[method].studies)
        return str(next((h for h in holders if home & set(found[h].studies)), holders[0]))

    return {method: near(method) for method in found if method not in holders}


def comparison(
    results: Results | pd.DataFrame,
    baseline: Baseline | None = None,
    extra: Sequence[Metric] = (),
) -> pd.DataFrame:
    """Returns every method on one line: what it reaches, how far orders move it, what it costs.

    Args:
        results: what `load` or `metrics` returns.
        baseline: the method that costs are relative to, or that of every method; by default the
            `preferred_baseline`.
        extra: metrics of your own; a table of runs has to hold them.

    Returns:
        One row per (backbone, method), best average accuracy first. For every metric of COMPARED
        and of `extra` its mean over replicates, METRIC, with the 95 % t interval over replicates,
        METRIC_low and METRIC_high (cut off at what the metric can be); the `robustness.Spread` of
        the average accuracy: order_sd, order_sd_low, order_sd_high and likewise seed_sd; cost,
        cost_low, cost_high: seconds of training of a run, relative to the baseline's mean in the
        same replicate; train_seconds (of a run, mean); replicates, runs; knows_task (whether it is
        told which task test data are of, an easier question than the others answer; NA: not
        known). NaN where undefined, not recorded, or unknown because no replicate is complete.

    Raises:
        ValueError: no run of a baseline is complete.

    >>> from analysis import tiny_study
    >>> comparison(tiny_study()).set_index("method")[["average_accuracy", "order_sd"]].round(3)
              average_accuracy  order_sd
    method
    replay               0.742     0.033
    finetune             0.589     0.033
    """
    runs = metrics(results, extra=extra) if isinstance(results, Results) else results
    relative = _relative_cost(runs, baseline or preferred_baseline(runs))
    columns = (*COMPARED, *(metric.key for metric in extra))
    rows = []
    for (backbone, method), group in relative.groupby(["backbone", "method"]):
        row: dict[str, object] = {"backbone": backbone, "method": method}
        used = complete_replicates(group)
        for metric in (*columns, "cost"):
            values = over_replicates(used[metric], used)
            if metric in METRICS:
                values = values.inside(*METRICS[metric].limits)
            row |= {metric + end: v for end, v in zip(BOUNDS, values, strict=True)}
        if are_complete(used):
            row |= spread(by_order(group, "average_accuracy"))._asdict()
        row["train_seconds"] = used["train_seconds"].mean()
        rows.append(row | {"replicates": used["replicate"].nunique(), "runs": len(used)})
    table = with_knowledge(pd.DataFrame(rows, columns=_columns(columns)), runs)
    return table.sort_values(
        ["backbone", "average_accuracy", "method"],
        ascending=[True, False, True],
        ignore_index=True,
    )


def _columns(compared: Sequence[str]) -> list[str]:
    return [
        *("backbone", "method"),
        *(metric + end for metric in compared for end in BOUNDS),
        *Spread._fields,
        *(f"cost{end}" for end in BOUNDS),
        *("train_seconds", "replicates", "runs"),
    ]


def _relative_cost(runs: pd.DataFrame, baseline: Baseline | None) -> pd.DataFrame:
    """Returns the runs with `cost`: their seconds over the mean of the baseline's replicate.

    The mean, because one order's wall time holds whatever else the machine did at that moment.
    """
    if not baseline:
        return runs.assign(cost=np.nan)
    other = partners(runs["method"], baseline)
    asked = runs.assign(method=runs["method"].map(lambda method: other.get(method, method)))
    place = ["backbone", "method", "replicate"]
    seconds = runs.groupby(place)["train_seconds"].mean().rename("reference").reset_index()
    reference = asked[place].merge(seconds, on=place, how="left")["reference"].to_numpy()
    positive = np.where(reference > 0, reference, np.nan)
    return runs.assign(cost=runs["train_seconds"].to_numpy() / positive)
