"""Frames of runs with given values, for tests of statistics."""

import numpy as np
import pandas as pd

from analysis import METRICS


def runs_of(
    values: dict[str, np.ndarray], planned: int | None = None, crossed: bool = True
) -> pd.DataFrame:
    """A frame of runs from {method: average accuracy [replicates, orders]}; NaN = no such run.

    Forgetting is 1 - average accuracy. With `crossed` all replicates hold the same orders.
    """
    rows = [
        {
            "backbone": "b",
            "method": method,
            "replicate": r,
            "seed": r,
            "design": "random",
            "block": r,
            "order": (f"t{o}" if crossed else f"t{r}.{o}", "x"),
            "planned": planned or table.shape[1],
            "train_seconds": 1.0,
            **dict.fromkeys(METRICS, np.nan),
            "average_accuracy": table[r, o],
            "forgetting_max": 1 - table[r, o],
        }
        for method, table in values.items()
        for r in range(table.shape[0])
        for o in range(table.shape[1])
        if not np.isnan(table[r, o])
    ]
    return pd.DataFrame(rows)
