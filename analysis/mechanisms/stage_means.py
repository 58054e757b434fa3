"""What a measure is after each stage, over the runs of a method."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.inference.replicates import over_replicates
from analysis.orders.blocks import Blocks

STAGE_MEANS = ["stage", "mean", "low", "high", "order_sd", "runs"]
"""What `stage_means` gives."""


def stage_means(values: np.ndarray, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yields a row for every stage at which a measure is defined in all runs.

    Args:
        values: Of one method, [runs, T + 1]; NaN where it is not defined.
        runs: Those runs, as `metrics` returns them.

    Yields:
        STAGE_MEANS: mean (of replicate means), low, high (t interval over replicates), order_sd
        (see `robustness.spread`).
    """
    blocks = Blocks.of(runs)
    for stage in np.flatnonzero(~np.isnan(values).any(axis=0)):
        mine = values[:, stage]
        variance = float(blocks.split(mine[:, None]).order[0])
        row = {"stage": int(stage)} | over_replicates(mine, runs)._asdict()
        yield row | {"order_sd": max(0.0, variance) ** 0.5, "runs": len(runs)}
