"""Measures how the analysis scales: time, memory and size of the report of a large study.

    python -m benchmarks.report_scale --orders 10 100 1000

Writes made-up results with these numbers of orders per replicate, then measures a fresh process
that loads them and makes all tables and the report, in processor seconds of one core, so that other
work on the machine does not count. If Chromium is installed, it opens the page and prints the wall
time from the request to the first contentful paint.

Eleven tasks, ten methods, five replicates, on one core of a small cloud machine (two cores):

     orders       rows      load   metrics    tables      page    memory  report
         10     59,290     0.1 s     0.1 s     4.8 s     1.7 s    0.3 GB  6.4 MB
        100    533,280     1.1 s     0.6 s     6.0 s     2.3 s    0.5 GB  9.6 MB
       1000  4,774,990     8.3 s     6.9 s    24.4 s     5.4 s    2.4 GB 10.9 MB

Time and memory grow more slowly than the number of rows. The page hardly grows: from about 90
orders on it shows only some of the accuracy matrices, dots and prefixes, and the tables have all of
them. 4.6 MB of its size are plotly. The largest page first painted after 1.1 to 1.3 s (four fresh
browsers).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.data.results import COSTS_SCHEMA, ORDERS_SCHEMA, RESULTS_SCHEMA
from tests.analysis.chromium import CHROMIUM, browser

PARTS = ("load", "metrics", "tables", "page")
PAINTED = 'performance.getEntriesByName("first-contentful-paint")'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--tasks", type=int, default=11)
    parser.add_argument("--methods", type=int, default=10)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="Write the studies there and keep them.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    head = [f"{part:>9}" for part in PARTS]
    print(f"{'orders':>7} {'rows':>10}", *head, "   memory  report  first paint")
    for orders in given.orders:
        with tempfile.TemporaryDirectory() as temporary:
            out = (given.keep or Path(temporary)) / f"orders-{orders}"
            rows = write(out, orders, given.tasks, given.methods, given.replicates)
            print(f"{orders:>7} {rows:>10,}", end=" ", flush=True)
            one_core = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            command = [sys.executable, __file__, "--measure", str(out)]
            subprocess.run(command, check=True, env=one_core)
            print(f"{first_paint(out / 'report.html', Path(temporary)):>11.1f} s")


def measure(out: Path) -> None:
    """Prints the cost of the report of a folder."""
    from analysis import load
    from analysis.report import tables_of
    from analysis.report.markdown import markdown
    from analysis.report.page import Filled, page
    from analysis.report.panels import PANELS
    from analysis.report.study_statistics import StudyStatistics

    pa.set_cpu_count(1)
    taken = {}
    started = time.process_time()

    def lap(part: str) -> None:
        taken[part] = time.process_time() - started - sum(taken.values())

    study = StudyStatistics(load(str(out)))
    lap("load")
    _ = study.runs
    lap("metrics")
    filled = [Filled(panel, panel.frame(study)) for panel in PANELS]
    tables_of(study, filled)
    markdown(study)
    lap("tables")
    html = page(study, filled)
    lap("page")
    size = (out / "report.html").write_text(html, "utf-8")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = " ".join(f"{taken[part]:>7.1f} s" for part in PARTS)
    print(f"{seconds} {memory:>5.1f} GB {size / 2**20:>4.1f} MB", end=" ", flush=True)


def first_paint(report: Path, profile: Path) -> float:
    """Returns the seconds until a browser shows some of the page; nan without a browser."""
    if CHROMIUM is None:
        return float("nan")
    with browser(profile) as tab:
        tab.open(report)
        tab.wait(f"{PAINTED}.length > 0")
        return float(tab.run(f"{PAINTED}[0].startTime")) / 1000


def write(out: Path, orders: int, tasks: int, methods: int, replicates: int) -> int:
    """Writes results in which methods, tasks, seeds and orders differ; returns their number."""
    (out / "results").mkdir(parents=True, exist_ok=True)
    (out / "costs").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    names = np.array([f"task-{i:02d}" for i in range(tasks)])
    order_rows, rows = [], 0
    for replicate in range(replicates):
        block = list(dict.fromkeys(tuple(rng.permutation(tasks)) for _ in range(orders)))
        order_rows += [
            {
                "design": "random",
                "block": replicate,
                "replicate": replicate,
                "order": names[list(o)],
            }
            for o in block
        ]
        prefixes = list(dict.fromkeys(o[:k] for o in block for k in range(tasks + 1)))
        shared = rng.normal(0, 0.02, (len(prefixes), tasks))
        for method in range(methods):
            scores = 0.4 + 0.03 * method + shared + rng.normal(0, 0.02, shared.shape)
            for row, prefix in enumerate(prefixes):
                scores[row, list(prefix)] += 0.3 - 0.03 * np.arange(len(prefix))[::-1]
            part = f"part-{replicate}-{method}.parquet"
            head = {"backbone": "clip", "method": f"method-{method}", "replicate": replicate}
            table = stages(prefixes, names, scores.clip(0, 1), head)
            pq.write_table(table, out / "results" / part)
            pq.write_table(costs(prefixes, names, head), out / "costs" / part)
            rows += table.num_rows
    table = pa.Table.from_pylist(order_rows, ORDERS_SCHEMA)
    pq.write_table(table, out / "orders.parquet")
    return rows


def stages(prefixes: list, names: np.ndarray, scores: np.ndarray, head: dict) -> pa.Table:
    """Returns the rows of all stages of one method and replicate."""
    stage, task = (grid.ravel() for grid in np.indices(scores.shape))
    last = np.array([names[p[-1]] if p else None for p in prefixes], object)
    columns = head | {
        "study": "scale",
        "seed": head["replicate"],
        "prefix": listed(prefixes, names).take(pa.array(stage)),
        "stage": np.array([len(p) for p in prefixes])[stage],
        "trained_task": last[stage],
        "split": "task",
        "eval_task": names[task],
        "metric": "accuracy",
        "value": scores.ravel(),
        "n": 1000,
        "status": "ok",
        "error": None,
    }
    return table_of(columns, RESULTS_SCHEMA, len(stage))


def costs(prefixes: list, names: np.ndarray, head: dict) -> pa.Table:
    """Returns the wall times of all stages of one method and replicate."""
    train = np.array([10.0 if p else 0.0 for p in prefixes])
    columns = head | {"prefix": listed(prefixes, names), "train_seconds": train}
    return table_of(columns | {"evaluate_seconds": 1.0}, COSTS_SCHEMA, len(prefixes))


def listed(prefixes: list, names: np.ndarray) -> pa.Array:
    offsets = np.cumsum([0, *map(len, prefixes)])
    flat = names[np.concatenate([np.array(p, int) for p in prefixes])]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat))


def table_of(columns: dict, schema: pa.Schema, length: int) -> pa.Table:
    """Returns a table; single values are repeated in all rows of their columns."""
    arrays = [
        columns[field.name].cast(field.type)
        if isinstance(columns[field.name], pa.Array)
        else pa.array(np.broadcast_to(columns[field.name], length), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


if __name__ == "__main__":
    main()
