"""Statistics over orders, with intervals that do not promise more than the data hold.

The unit is the replicate: one seed with one block of orders. Runs of a replicate share the stages
of their common prefixes and balance each other by design, so they are not independent; replicates
are. An interval therefore needs at least two replicates, and a replicate counts only when all of
its planned runs are complete.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from analysis.accuracy import DECIMALS, METRICS
from analysis.significance import probability_inside, significance, verdict

LEVEL = 0.95
"""Of every interval."""
ROPE = 0.005
"""Half a point of accuracy: less makes no difference in practice."""


class Interval(NamedTuple):
    """A mean with its interval."""

    mean: float
    low: float
    high: float


def t_interval(values: ArrayLike) -> Interval:
    """Mean +- t_(m-1) s / sqrt(m) of m independent values, at the 95 % level.

    The bounds are NaN for fewer than two values.
    """
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    quantile = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1)
    half = float(quantile * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)


def positive_interval(values: ArrayLike) -> Interval:
    """Mean of m independent positive values with skewed spread, such as variances or ranges.

    With L the logarithms and v their variance, the bounds are those of the mean of a log-normal
    law, exp(mean L + v/2 +- t_(m-1) sqrt(v/m + v^2 / (2 (m+1)))) (Cox's method; Olsson 2005). The
    mean is the plain one. The bounds are NaN for fewer than two values, or for one that is 0.
    """
    x = np.asarray(values, float)
    mean = float(x.mean()) if len(x) else np.nan
    if len(x) < 2 or not (x > 0).all():
        return Interval(mean, np.nan, np.nan)
    logs = np.log(x)
    v = logs.var(ddof=1)
    quantile = stats.t.ppf((1 + LEVEL) / 2, len(x) - 1)
    half = quantile * np.sqrt(v / len(x) + v**2 / (2 * (len(x) + 1)))
    centre = logs.mean() + v / 2
    return Interval(mean, float(np.exp(centre - half)), float(np.exp(centre + half)))


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Every metric of every method over orders and replicates.

    Args:
        runs: what `metrics` returns.

    Returns:
        One row per (backbone, method, metric) that is defined: mean (of replicate means), low and
        high (t interval over replicates), replicates and runs that count, sd_runs (standard
        deviation over these runs; it holds the effects of order AND of seed), min, min_order,
        max, max_order (over these runs), note (what the numbers are conditional on).
    """
    rows = []
    for (backbone, method), group in runs.groupby(["backbone", "method"]):
        for metric in METRICS:
            defined = group.dropna(subset=metric)
            if len(defined):
                used = counted(defined)
                head = {"backbone": backbone, "method": method, "metric": metric}
                rows.append(head | _over_replicates(defined, used, metric) | _range(used, metric))
    columns = [*HEAD, *SPREAD, "min", "min_order", "max", "max_order", "note"]
    return pd.DataFrame(rows, columns=columns)


def compare(runs: pd.DataFrame, baseline: str, rope: float = ROPE) -> pd.DataFrame:
    """Every method minus a baseline, paired: same backbone, replicate and order.

    Args:
        runs: what `metrics` returns.
        baseline: the method to compare with.
        rope: differences up to this do not matter; in the unit of the metrics.

    Returns:
        One row per (backbone, method, metric): baseline, mean (of the replicate means of the
        differences method - baseline), low, high, replicates, runs (pairs that count), sd_runs
        (of the differences), wins and ties (pairs in which the method is better or equal, in the
        direction of the metric), win_rate ((wins + ties / 2) / runs), verdict and p_rope (of
        the mean difference, see `significance`), p, p_holm, p_max_t, p_wilcoxon (corrected for
        all methods of the same backbone and metric; NaN where a replicate is broken), note.

    Raises:
        ValueError: no run of the baseline is complete.
    """
    rows: list[dict[str, object]] = []
    means: dict[tuple[str, str, str], pd.Series] = {}
    for key, group in paired(runs, baseline).groupby(["backbone", "method"]):
        backbone, method = map(str, key)
        for metric in METRICS:
            defined = group.dropna(subset=metric)
            if len(defined):
                used = counted(defined)
                head = {"backbone": backbone, "method": method, "metric": metric}
                spread = _over_replicates(defined, used, metric)
                decided = _decided(spread, metric, rope)
                rows.append(head | {"baseline": baseline} | spread | _wins(used, metric) | decided)
                if is_whole(used):
                    means[backbone, metric, method] = used.groupby("replicate")[metric].mean()
    columns = [*HEAD, "baseline", *SPREAD, "wins", "ties", "win_rate", "verdict", "p_rope", "note"]
    found = pd.DataFrame(rows, columns=columns)
    return found.merge(_significance(means), how="left", on=HEAD)


def _decided(spread: dict[str, Any], metric: str, rope: float) -> dict[str, object]:
    """The verdict on a mean difference, in the direction of the metric."""
    bounds = (spread["low"], spread["high"])
    low, high = bounds if METRICS[metric].better == "higher" else (-bounds[1], -bounds[0])
    inside = probability_inside(spread["mean"], *bounds, spread["replicates"], rope)
    return {"verdict": verdict(low, high, rope), "p_rope": inside}


def _significance(means: dict[tuple[str, str, str], pd.Series]) -> pd.DataFrame:
    """P values of replicate means keyed (backbone, metric, method), family by family."""
    families: dict[tuple[str, str], dict[str, pd.Series]] = {}
    for (backbone, metric, method), values in means.items():
        families.setdefault((backbone, metric), {})[method] = values
    parts = [
        significance(pd.DataFrame(family).dropna())
        .rename_axis("method")
        .reset_index()
        .assign(backbone=backbone, metric=metric)
        for (backbone, metric), family in families.items()
    ]
    columns = [*HEAD, "p", "p_holm", "p_max_t", "p_wilcoxon"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def paired(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The runs of all other methods, with every metric as difference to the baseline's run.

    Paired are runs of the same backbone, replicate and order; runs without a partner are left
    out.

    Raises:
        ValueError: no run of the baseline is complete.
    """
    is_baseline = runs["method"] == baseline
    if not is_baseline.any():
        raise ValueError(
            f"No complete run of the baseline '{baseline}'; "
            f"there are runs of: {', '.join(sorted(set(runs['method']))) or 'no method'}."
        )
    pair, names = ["backbone", "replicate", "order"], list(METRICS)
    reference = runs.loc[is_baseline, [*pair, *names]]
    both = runs[~is_baseline].merge(reference, on=pair, suffixes=("", " of baseline"))
    differences = both[names].to_numpy() - both[[f"{m} of baseline" for m in names]].to_numpy()
    differences = differences.round(DECIMALS)
    return both[runs.columns].assign(**dict(zip(names, differences.T, strict=True)))


def counted(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of one method that statistics rest on: those of whole replicates.

    The orders that finish first share prefixes, so the first part of a replicate is not a sample
    of its orders. Only when no replicate is whole do all complete runs count.
    """
    whole = runs[_size(runs) == runs["planned"]]
    return whole if len(whole) else runs


def is_whole(used: pd.DataFrame) -> bool:
    """Whether runs that count are those of whole replicates, so that intervals are honest."""
    return bool((_size(used) == used["planned"]).all())


HEAD = ["backbone", "method", "metric"]
SPREAD = ["mean", "low", "high", "replicates", "runs", "sd_runs"]


def _size(runs: pd.DataFrame) -> pd.Series:
    """For every run, how many runs of its replicate are there."""
    return runs.groupby("replicate")["order"].transform("size")


def _over_replicates(runs: pd.DataFrame, used: pd.DataFrame, column: str) -> dict[str, object]:
    """Mean, interval and spread of one column of one method's runs, of which `used` count."""
    means = used.groupby("replicate")[column].mean()
    whole = is_whole(used)
    interval = t_interval(means) if whole else Interval(float(means.mean()), np.nan, np.nan)
    return {
        **interval._asdict(),
        "replicates": len(means),
        "runs": len(used),
        "sd_runs": float(used[column].std(ddof=1)),
        "note": _note(len(means), whole, len(runs) - len(used)),
    }


def _note(replicates: int, whole: bool, left_out: int) -> str:
    """What the numbers are conditional on; "" when on nothing."""
    notes = []
    if not whole:
        notes.append("no replicate is whole; orders that finish first share prefixes")
    elif replicates == 1:
        notes.append("one seed; orders share prefixes, so there is no interval")
    if left_out:
        notes.append(f"{left_out} complete runs of unfinished replicates are left out")
    return "; ".join(notes)


def _range(runs: pd.DataFrame, metric: str) -> dict[str, object]:
    """The lowest and the highest run."""
    low, high = runs.iloc[runs[metric].argmin()], runs.iloc[runs[metric].argmax()]
    return {
        "min": low[metric],
        "min_order": low["order"],
        "max": high[metric],
        "max_order": high["order"],
    }


def _wins(differences: pd.DataFrame, metric: str) -> dict[str, object]:
    """In how many pairs the method is better than the baseline."""
    sign = 1 if METRICS[metric].better == "higher" else -1
    wins = int((sign * differences[metric] > 0).sum())
    ties = int((differences[metric] == 0).sum())
    return {"wins": wins, "ties": ties, "win_rate": (wins + ties / 2) / len(differences)}
