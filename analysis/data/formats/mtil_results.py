"""Results of ZSCL's two code bases (github.com/Thunderbeee/ZSCL), in percent.

- MTIL (mtil/results/*.npy, read by mtil/results.ipynb): 132 numbers, 11 rows by 12 columns. A row
  is a checkpoint, named by the task it was trained on last; both rows and columns stand in the
  order MTIL names its tasks (Order I), whatever order was trained, and column 2 is CIFAR-10, which
  is no task. The notebook's Order II puts rows and columns into the order they were learnt in.
- Class-incremental (cil/main.py, as Continual-CLIP and DyTox write with continuum): one JSON line
  per task with "task" and "acc_per_task", the accuracy on every task seen so far.
"""

import json

import numpy as np

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, named, padded, unknown_task

TASKS = (
    "aircraft", "caltech101", "cifar100", "dtd", "eurosat", "flowers", "food", "mnist",
    "oxford_pet", "stanford_cars", "sun397",
)  # fmt: skip
"""MTIL's tasks in the order of rows and columns, which is Order I; names are ours."""
CIFAR10 = 2


def is_mtil(arrays: list[np.ndarray]) -> bool:
    """Returns whether an array has the shape that ZSCL saves MTIL in."""
    return len(arrays) == 1 and arrays[0].shape in ((132,), (11, 12))


def read_zscl(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the run of a file of MTIL; `order` holds the names of TASKS as they were learnt."""
    if not is_mtil(given.arrays):
        raise ValueError(f"'{given.name}' does not hold the 11 x 12 accuracies of ZSCL's MTIL.")
    if wanted.order is None:
        raise ValueError(
            f"'{given.name}' does not say which order it was learnt in; give it as order=[...]; "
            f"Order I of MTIL is {', '.join(TASKS)}."
        )
    for task in wanted.order:
        if task not in TASKS:
            raise unknown_task(task, TASKS, "in the order")
    order = named(wanted.order, len(TASKS), given.name)
    places = [TASKS.index(task) for task in order]
    R = np.delete(given.arrays[0].reshape(11, 12), CIFAR10, axis=1)[places][:, places]
    method, backbone = wanted.method or UNNAMED, wanted.backbone or UNNAMED
    return Reading([MatrixRun(method, order, padded(R.tolist(), 11), None, backbone, "percent")])


def read_continuum(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the run of a file of JSON lines; the last line of a task counts."""
    rows: dict[int, list[float]] = {}
    for line in filter(str.strip, given.text.splitlines()):
        entry = json.loads(line)
        if "acc_per_task" in entry:
            rows[int(entry["task"])] = [float(value) for value in entry["acc_per_task"]]
    stages = [rows[task] for task in sorted(rows)]
    if [len(stage) for stage in stages] != list(range(1, len(stages) + 1)):
        raise ValueError(
            f"'{given.name}' must hold one more accuracy in acc_per_task after every task; it "
            f"holds {', '.join(str(len(stage)) for stage in stages)}."
        )
    order = named(wanted.order, len(stages), given.name)
    method, backbone = wanted.method or UNNAMED, wanted.backbone or UNNAMED
    return Reading(
        [MatrixRun(method, order, padded(stages, len(order)), None, backbone, "percent")]
    )
