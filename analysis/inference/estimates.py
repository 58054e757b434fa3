"""Statistics over orders, with intervals that do not promise more than the data hold.

The unit is the replicate: one seed with one block of orders. Runs of a replicate share the stages
of their common prefixes and balance each other by design, so they are not independent; replicates
are. An interval therefore needs at least two replicates, and a replicate counts only when all of
its planned runs are complete.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.inference.intervals import Interval
from analysis.inference.replicates import (
    Baseline,
    are_complete,
    complete_replicates,
    over_replicates,
    paired,
    partners,
)
from analysis.inference.significance import (
    TESTS,
    VERDICTS,
    probability_inside,
    significance,
    verdicts,
)
from analysis.run_metrics.metric import Metric, with_extra
from analysis.run_metrics.metrics_table import with_knowledge

ROPE = 0.005
"""Half a point of accuracy: less makes no difference in practice."""


def summary(runs: pd.DataFrame, extra: Sequence[Metric] = ()) -> pd.DataFrame:
    """Returns every metric of every method over orders and replicates.

    Args:
        runs: what `metrics` returns.
        extra: metrics of your own that it holds.

    Returns:
        One row per (backbone, method, metric) that is defined: mean (of replicate means), low and
        high (t interval over replicates, cut off at what the metric can be), replicates and runs
        that count, sd_runs (standard deviation over these runs; it holds the effects of order AND
        of seed), min, min_order, max, max_order (over these runs), note (what the numbers are
        conditional on).

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> found = summary(runs).query("metric == 'average_accuracy'")
    >>> found[["method", "mean", "low", "high", "replicates", "runs"]].round(3)
          method   mean    low   high  replicates  runs
    0   finetune  0.589  0.581  0.597           4    24
    19    replay  0.742  0.731  0.752           4    24
    """
    rows = []
    for (backbone, method), group in runs.groupby(["backbone", "method"]):
        for metric, about in with_extra(extra).items():
            defined = group.dropna(subset=metric)
            if len(defined):
                used = complete_replicates(defined)
                head = {"backbone": backbone, "method": method, "metric": metric}
                spread = _over_replicates(defined, used, metric)
                known = Interval(spread["mean"], spread["low"], spread["high"]).inside(
                    *about.limits
                )
                rows.append(head | spread | known._asdict() | _range(used, metric))
    columns = [*HEAD, *SPREAD, "min", "min_order", "max", "max_order", "note"]
    return pd.DataFrame(rows, columns=columns)


def compare(
    runs: pd.DataFrame, baseline: Baseline, rope: float = ROPE, extra: Sequence[Metric] = ()
) -> pd.DataFrame:
    """Returns every method minus a baseline, paired: same backbone, replicate and order.

    Args:
        runs: what `metrics` returns.
        baseline: the method to compare with, or {method: the method to compare it with}.
        rope: differences up to this do not matter; in the unit of the metrics.
        extra: metrics of your own that `runs` holds.

    Returns:
        One row per (backbone, method, metric): baseline, mean (of the replicate means of the
        differences method - baseline), low, high (95 % t interval of this difference alone),
        replicates, runs (pairs that count), sd_runs (of the differences), wins and ties (pairs in
        which the method is better or equal, in the direction of the metric), win_rate ((wins +
        ties / 2) / runs), p_rope (the probability that the mean difference does not matter),
        note; verdict, p_verdict, verdict_low, verdict_high (`significance.verdicts`) and p,
        p_holm, p_max_t, p_wilcoxon (`significance.significance`), of which the family is all
        methods of the same backbone and metric, and NaN where no replicate is complete; knows_task
        (whether the method is told which task test data are of; NA: not known).

    Raises:
        ValueError: no run of the baseline is complete.

    >>> from analysis import metrics, tiny_study
    >>> runs = metrics(tiny_study())
    >>> found = compare(runs, "finetune").set_index("metric").loc["average_accuracy"]
    >>> found["method"], round(float(found["mean"]), 3), found["verdict"]
    ('replay', 0.153, 'better')
    """
    rows: list[dict[str, object]] = []
    means: dict[tuple[str, str, str], pd.Series] = {}
    other = partners(runs["method"], baseline)
    for key, group in paired(runs, baseline, extra).groupby(["backbone", "method"]):
        backbone, method = map(str, key)
        for metric, about in with_extra(extra).items():
            defined = group.dropna(subset=metric)
            if len(defined):
                used = complete_replicates(defined)
                head = {"backbone": backbone, "method": method, "metric": metric}
                spread = _over_replicates(defined, used, metric)
                bounds = (spread["mean"], spread["low"], spread["high"], spread["replicates"])
                row = head | {"baseline": other[method]} | spread | _wins(used, about)
                rows.append(row | {"p_rope": probability_inside(*bounds, rope)})
                if are_complete(used):
                    means[backbone, metric, method] = used.groupby("replicate")[metric].mean()
    columns = [*HEAD, "baseline", *SPREAD, "wins", "ties", "win_rate", "p_rope", "note"]
    found = pd.DataFrame(rows, columns=columns)
    judged = found.merge(_families(means, rope, with_extra(extra)), how="left", on=HEAD)
    return with_knowledge(judged.fillna({"verdict": "undecided"}), runs)


def _families(
    means: dict[tuple[str, str, str], pd.Series], rope: float, about: dict[str, Metric]
) -> pd.DataFrame:
    """Returns verdicts and p values of replicate means keyed (backbone, metric, method)."""
    families: dict[tuple[str, str], dict[str, pd.Series]] = {}
    for (backbone, metric, method), values in means.items():
        families.setdefault((backbone, metric), {})[method] = values
    parts = []
    for (backbone, metric), family in families.items():
        differences = pd.DataFrame(family).rename_axis(columns="method")
        judged = verdicts(about[metric].sign * differences, rope)
        if not about[metric].higher_is_better:
            judged = judged.assign(
                verdict_low=-judged["verdict_high"], verdict_high=-judged["verdict_low"]
            )
        found = judged.join(significance(differences)).reset_index()
        parts.append(found.assign(backbone=backbone, metric=metric))
    columns = [*HEAD, *VERDICTS, *TESTS]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


HEAD = ["backbone", "method", "metric"]
SPREAD = ["mean", "low", "high", "replicates", "runs", "sd_runs"]


def _over_replicates(runs: pd.DataFrame, used: pd.DataFrame, column: str) -> dict[str, Any]:
    """Returns mean, interval and spread of a column over `used`, the runs that count."""
    replicates = used["replicate"].nunique()
    return {
        **over_replicates(used[column], used)._asdict(),
        "replicates": replicates,
        "runs": len(used),
        "sd_runs": float(used[column].std(ddof=1)),
        "note": _note(replicates, are_complete(used), len(runs) - len(used)),
    }


def _note(replicates: int, is_complete: bool, left_out: int) -> str:
    """Returns what the numbers are conditional on; "" when on nothing."""
    notes = []
    if not is_complete:
        notes.append("no replicate is complete; orders that finish first share prefixes")
    elif replicates == 1:
        notes.append("one seed; orders share prefixes, so there is no interval")
    if left_out:
        notes.append(f"{left_out} complete runs of unfinished replicates are left out")
    return "; ".join(notes)


def _range(runs: pd.DataFrame, metric: str) -> dict[str, object]:
    """Returns the lowest and the highest run."""
    low, high = runs.iloc[runs[metric].argmin()], runs.iloc[runs[metric].argmax()]
    return {
        "min": low[metric],
        "min_order": low["order"],
        "max": high[metric],
        "max_order": high["order"],
    }


def _wins(differences: pd.DataFrame, metric: Metric) -> dict[str, object]:
    """Returns in how many pairs the method is better than the baseline."""
    wins = int((metric.sign * differences[metric.key] > 0).sum())
    ties = int((differences[metric.key] == 0).sum())
    return {"wins": wins, "ties": ties, "win_rate": (wins + ties / 2) / len(differences)}
