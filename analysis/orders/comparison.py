"""The one table that compares methods."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.data.results import Results
from analysis.inference.replicates import are_complete, complete_replicates, over_replicates
from analysis.orders.robustness import Spread, by_order, spread
from analysis.run_metrics.metric import METRICS, Metric
from analysis.run_metrics.metrics_table import metrics

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


def comparison(
    results: Results | pd.DataFrame,
    baseline: str = PREFERRED_BASELINE,
    extra: Sequence[Metric] = (),
) -> pd.DataFrame:
    """Returns every method on one line: what it reaches, how far orders move it, what it costs.

    Args:
        results: what `load` or `metrics` returns.
        baseline: the method that costs are relative to.
        extra: metrics of your own; a table of runs has to hold them.

    Returns:
        One row per (backbone, method), best average accuracy first. For every metric of COMPARED
        and of `extra` its mean over replicates, METRIC, with the 95 % t interval over replicates,
        METRIC_low and METRIC_high (cut off at what the metric can be); the `robustness.Spread` of
        the average accuracy: order_sd, order_sd_low, order_sd_high and likewise seed_sd; cost,
        cost_low, cost_high: seconds of training of a run, relative to the baseline's mean in the
        same replicate; train_seconds (of a run, mean); replicates, runs. NaN where undefined, not
        recorded, or unknown because no replicate is complete.

    >>> from analysis import tiny_study
    >>> comparison(tiny_study()).set_index("method")[["average_accuracy", "order_sd"]].round(3)
              average_accuracy  order_sd
    method
    replay               0.742     0.033
    finetune             0.589     0.033
    """
    runs = metrics(results, extra=extra) if isinstance(results, Results) else results
    relative = _relative_cost(runs, baseline)
    columns = (*COMPARED, *(metric.key for metric in extra))
    rows = []
    for (backbone, method), group in relative.groupby(["backbone", "method"]):
        row: dict[str, object] = {"backbone": backbone, "method": method}
        used = complete_replicates(group)
        for metric in (*columns, "cost"):
            values = over_replicates(used[metric], used)
            if metric in METRICS:
                values = values.inside(*METRICS[metric].limits(used[metric].to_numpy()))
            row |= {metric + end: v for end, v in zip(BOUNDS, values, strict=True)}
        if are_complete(used):
            row |= spread(by_order(group, "average_accuracy"))._asdict()
        row["train_seconds"] = used["train_seconds"].mean()
        rows.append(row | {"replicates": used["replicate"].nunique(), "runs": len(used)})
    table = pd.DataFrame(rows, columns=_columns(columns))
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


def _relative_cost(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Returns the runs with `cost`: their seconds over the mean of the baseline's replicate.

    The mean, because one order's wall time holds whatever else the machine did at that moment.
    """
    pair = ["backbone", "replicate"]
    mine = runs[runs["method"] == baseline]
    seconds = mine.groupby(pair)["train_seconds"].mean().rename("reference").reset_index()
    reference = runs[pair].merge(seconds, on=pair, how="left")["reference"].to_numpy()
    positive = np.where(reference > 0, reference, np.nan)
    return runs.assign(cost=runs["train_seconds"].to_numpy() / positive)
