"""The one table that compares methods."""

import numpy as np
import pandas as pd

from analysis.accuracy import metrics
from analysis.inference import counted, is_whole, t_interval
from analysis.results import Results
from analysis.robustness import by_order, spread

COMPARED = ("average_accuracy", "forgetting_max", "bwt", "zero_shot_erosion", "retrieval_erosion")
"""Metrics of the comparison table."""
BOUNDS = ("", "_low", "_high")
PREFERRED_BASELINE = "finetune"


def preferred_baseline(runs: pd.DataFrame) -> str | None:
    """The method that the others are compared with; None if there are no others."""
    methods = sorted(set(runs["method"]))
    if len(methods) < 2:
        return None
    return PREFERRED_BASELINE if PREFERRED_BASELINE in methods else methods[0]


def comparison(results: Results | pd.DataFrame, baseline: str = PREFERRED_BASELINE) -> pd.DataFrame:
    """Every method on one line: what it reaches, how sure, how far orders move it, what it costs.

    Args:
        results: what `load` or `metrics` returns.
        baseline: the method that costs are relative to.

    Returns:
        One row per (backbone, method), best average accuracy first. For every metric of COMPARED
        its mean over replicates, METRIC, with the 95 % t interval over replicates, METRIC_low
        and METRIC_high; order_sd, order_sd_low, order_sd_high and seed_sd of the average
        accuracy (see `robustness.spread`); cost, cost_low, cost_high: seconds of training of a
        run, relative to the baseline's mean in the same replicate; train_seconds (of a run,
        mean); replicates, runs. NaN where undefined, not recorded, or unknown because no
        replicate is whole.
    """
    runs = metrics(results) if isinstance(results, Results) else results
    relative = _relative_cost(runs, baseline)
    rows = []
    for (backbone, method), group in relative.groupby(["backbone", "method"]):
        row: dict[str, object] = {"backbone": backbone, "method": method}
        used = counted(group)
        whole = is_whole(used)
        for metric in (*COMPARED, "cost"):
            means = used.dropna(subset=metric).groupby("replicate")[metric].mean()
            mean, *bounds = t_interval(means)
            values = (mean, *(bounds if whole else (np.nan, np.nan)))
            row |= {metric + end: v for end, v in zip(BOUNDS, values, strict=True)}
        if whole:
            row |= spread(by_order(group, "average_accuracy"))._asdict()
        row["train_seconds"] = used["train_seconds"].mean()
        rows.append(row | {"replicates": used["replicate"].nunique(), "runs": len(used)})
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.sort_values(
        ["backbone", "average_accuracy", "method"],
        ascending=[True, False, True],
        ignore_index=True,
    )


_COLUMNS = [
    *("backbone", "method"),
    *(metric + end for metric in COMPARED for end in BOUNDS),
    *("order_sd", "order_sd_low", "order_sd_high", "seed_sd"),
    *(f"cost{end}" for end in BOUNDS),
    *("train_seconds", "replicates", "runs"),
]


def _relative_cost(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The runs with `cost`: their seconds over the mean of the baseline's in the same replicate.

    The mean, because one order's wall time holds whatever else the machine did at that moment.
    """
    pair = ["backbone", "replicate"]
    mine = runs[runs["method"] == baseline]
    seconds = mine.groupby(pair)["train_seconds"].mean().rename("reference").reset_index()
    reference = runs[pair].merge(seconds, on=pair, how="left")["reference"].to_numpy()
    positive = np.where(reference > 0, reference, np.nan)
    return runs.assign(cost=runs["train_seconds"].to_numpy() / positive)
