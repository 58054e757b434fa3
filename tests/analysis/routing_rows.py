"""Rows of routing, as a study with the diagnostic "routing" has them."""

from pathlib import Path

import numpy as np

from tests.analysis.synthetic import read_rows, write_rows


def write_routing(out: Path, names: tuple[str, ...], method: str) -> None:
    """Adds shares at random to the rows of a method, of which the untouched backbone has the rest.

    Args:
        out: The run folder.
        names: Tasks and probes whose samples are looked at.
        method: The method.
    """
    rng, rows = np.random.default_rng(0), read_rows(out)
    mine = [row for row in rows if row["method"] == method]
    stages = {(row["replicate"], tuple(row["prefix"])): row for row in mine}
    for (_, prefix), stage in stages.items():
        for name in names:
            shares = rng.dirichlet(np.ones(len(prefix) + 1))[1:]
            for task, share in zip(prefix, shares, strict=True):
                row = {"split": "routing", "eval_task": name, "metric": task}
                rows.append(stage | row | {"value": float(share)})
    write_rows(out, rows)
