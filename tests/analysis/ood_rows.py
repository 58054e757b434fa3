"""Rows of OOD detection, as a study with the diagnostic "ood" has them."""

from itertools import permutations
from pathlib import Path

import numpy as np

from tests.analysis.synthetic import read_rows, write_rows


def write_ood(out: Path, tasks: tuple[str, ...], method: str) -> None:
    """Adds AUROCs at random to the rows of a method, where they are defined."""
    rng, rows = np.random.default_rng(0), read_rows(out)
    mine = [row for row in rows if row["method"] == method]
    stages = {(row["replicate"], tuple(row["prefix"])): row for row in mine}
    for (_, prefix), stage in stages.items():
        found = [("ood", *pair) for pair in permutations(tasks, 2)]
        if 0 < len(prefix) < len(tasks):
            found.append(("ood_cumulative", "all tasks", "unlearnt"))
        found += [("ood_cumulative", "digits", "probe")] if prefix else []
        for split, name, metric in found:
            row = {"split": split, "eval_task": name, "metric": metric}
            rows.append(stage | row | {"value": float(rng.uniform(0.4, 0.9))})
    write_rows(out, rows)
