"""Makes rows of the results table, with the columns that an evaluation knows."""

from typing import Any

import torch
from torch import Tensor

from methods.data import Task

Scores = list[dict[str, Any]]
"""Rows with the columns split, eval_task, metric, value, n."""
ALL_TASKS = "all tasks"
"""Name in the column eval_task for scores of the model as a whole."""


def score(split: str, name: str, metric: str, value: float, n: int) -> dict[str, Any]:
    """Returns a row of the results table, without the stage that it belongs to."""
    return {"split": split, "eval_task": name, "metric": metric, "value": value, "n": n}


def share_right(given: Tensor, task: Task) -> float:
    """Returns the share of right answers to all test samples of a task (int64 [N], on the CPU)."""
    return int((given == torch.from_numpy(task.test.labels)).sum()) / len(given)
