"""What would settle the pairs of methods that a study leaves open."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.results import Results
from analysis.inference.estimates import ROPE
from analysis.inference.expected_precision import replicates_for, t_factor
from analysis.inference.intervals import LEVEL

SETTLING = ["backbone", "method", "other", "mean", "replicates", "more", "hours"]


def settling(pairs: pd.DataFrame, hours: float = np.nan, rope: float = ROPE) -> pd.DataFrame:
    """Returns what would settle the pairs that are undecided on average.

    If difference and spread are as estimated, the interval of a pair can be expected to lie beyond
    what does not matter, or inside of it, from so many replicates on. A few replicates know both
    only roughly: this is an order of magnitude, not a promise. The interval is the one that Holm's
    procedure gives the pair now; whatever is settled makes those of the others narrower.

    Args:
        pairs: what `method_pairs` returns.
        hours: what one more replicate takes, see `replicate_hours`.
        rope: differences up to this do not matter.

    Returns:
        One row per undecided pair, those of a backbone that take least first: backbone, method,
        other, mean, replicates (in all), more (than there are), hours (of wall time for these).
        Infinite where it is more than any study can pay for; NaN where it is not known, because
        there is one replicate, or no time was recorded.

    >>> from analysis import method_pairs, metrics, tiny_study
    >>> pairs = method_pairs(metrics(tiny_study()), rope=0.152)
    >>> settling(pairs, hours=0.5, rope=0.152)[["method", "replicates", "more", "hours"]]
       method  replicates  more  hours
    0  replay          16    12    6.0
    """
    rows = []
    for _, family in pairs.groupby("backbone", sort=False):
        known = family["verdict_low"].notna()
        error = (1 - LEVEL) / max(1, known.sum() - (family["verdict"] == "better").sum())
        factor = partial(t_factor, error=error)
        for row in family[family["verdict"] == "undecided"].to_dict("records"):
            needed = np.nan
            if np.isfinite(row["verdict_low"]):
                needed = replicates_for(abs(row["mean"] - rope), row["sd"], factor) or np.inf
            more = needed - row["replicates"]
            rows.append(row | {"replicates": needed, "more": more, "hours": more * hours})
    found = pd.DataFrame(rows, columns=SETTLING)
    return found.sort_values(["backbone", "more"], kind="stable", ignore_index=True)


def replicate_hours(results: Results, manifest: Mapping[str, Any]) -> float:
    """Returns how long one more replicate of a study takes on the machines of its run.

    The recorded seconds of all its stages, of all backbones and methods (the mean over replicates
    that are complete), over how many lanes were busy on average (the seconds of lanes over those
    of the clock; 1 where the manifest does not say). A stage that several orders or methods take
    over is recorded with the same seconds each time, and counts once.

    Args:
        results: of the study.
        manifest: what manifest.json says; {} where there is none.

    Returns:
        NaN where no time was recorded or no replicate is complete.

    >>> from analysis import tiny_study
    >>> replicate_hours(tiny_study(), {})
    nan
    """
    missing = results.runs.groupby("replicate")["missing"].sum()
    costs = results.costs[results.costs["replicate"].isin(missing.index[missing == 0])]
    if costs.empty:
        return np.nan
    seconds = sum(
        costs.drop_duplicates(["backbone", "replicate", part])[part].sum()
        for part in ("train_seconds", "evaluate_seconds")
    )
    lanes, clock = manifest.get("lane_seconds") or {}, manifest.get("wall_seconds") or 0
    busy = sum(lanes.values()) / clock if clock and lanes else 1
    return float(seconds / costs["replicate"].nunique() / max(busy, 1) / 3600)
