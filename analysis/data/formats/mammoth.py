"""Mammoth's logs: one line per run, with the accuracy on every task seen so far, in percent.

The format is that of `Logger.write` in utils/loggers.py of github.com/aimagelab/mammoth (read in
the versions of 2022 to 2024): logs.pyd holds one Python dictionary per line, with the arguments of
the run and `accuracy_<task>_task<stage>`, both counted from 1; since NumPy 2 its numbers may read
np.float64(71.3). Conversions to CSV (logs.csv) have the same names as columns. What the folder is
called (class-il, task-il) says whether the task was known at test time.
"""

import re
from collections.abc import Iterator

import numpy as np

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, name_of, named
from analysis.data.formats.cells import number

ACCURACY = re.compile(r"accuracy_(\d+)_task_?(\d+)")
_ENTRY = re.compile(r"'(\w+)': (?:np\.float\d+\()?('[^']*'|[-+.\w]+)")


def read_mammoth(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the runs of a logs.pyd or logs.csv; `model` is the method, `seed` the replicate.

    Mammoth stores no accuracy on tasks not seen yet, so metrics that need it are NaN.
    """
    entries = list(_entries(given))
    models = (entry.get("model", "") for entry in entries)
    called = name_of(models, wanted.method, "method", given.name)
    runs, seeds = [], []
    for line, entry in enumerate(entries, 1):
        found = {key: ACCURACY.fullmatch(key) for key in entry}
        cells = {
            (int(m[2]), int(m[1])): number(entry[key])[0]
            for key, m in found.items()
            if m and entry[key]
        }
        if not cells:
            raise ValueError(
                f"Run {line} of '{given.name}' holds only means over tasks, no accuracy_1_task1; "
                f"Mammoth stores single tasks in its class-il and task-il settings."
            )
        T = max(stage for stage, _ in cells)
        if any(task > stage for stage, task in cells):
            raise ValueError(
                f"Run {line} of '{given.name}' has accuracies on tasks not seen yet among those of "
                f"tasks seen (eval_future), which cannot be told apart; log them without."
            )
        R = np.full((T + 1, T), np.nan)
        for (stage, task), value in cells.items():
            R[stage, task - 1] = value
        method = called or entry.get("model") or UNNAMED
        backbone = wanted.backbone or entry.get("backbone") or UNNAMED
        order = named(wanted.order, T, given.name)
        runs.append(MatrixRun(method, order, R, None, backbone, "percent"))
        seeds.append((method, backbone, entry.get("seed", "")))
    numbered = len(set(seeds)) == len(seeds) and all(seed.isdigit() for *_, seed in seeds)
    if numbered:
        runs = [
            MatrixRun(run.method, run.order, run.R, int(seed), run.backbone, run.unit)
            for run, (*_, seed) in zip(runs, seeds, strict=True)
        ]
    return Reading(runs)


def _entries(given: GivenFile) -> Iterator[dict[str, str]]:
    """Yields the arguments and scores of every run."""
    if given.text.lstrip().startswith("{"):
        for line in filter(str.strip, given.text.splitlines()):
            yield {key: value.strip("'") for key, value in _ENTRY.findall(line)}
    else:
        head, *rows = given.cells
        for row in rows:
            yield dict(zip(head, row, strict=False))
