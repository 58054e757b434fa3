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


def mean_recall(given: Tensor, task: Task) -> float:
    """Returns the mean over classes of the share of their test samples that are answered right.

    The mean per-class accuracy, or balanced accuracy: classes count alike, however many samples
    they have. Classes without test samples do not count.

    Args:
        given: Answers to all test samples: int64 [N], on the CPU; -1 for none of the choices.
        task: What was asked.
    """
    labels = torch.from_numpy(task.test.labels)
    samples = torch.bincount(labels)
    right = torch.bincount(labels[given == labels], minlength=len(samples))
    tested = samples > 0
    return float((right[tested].double() / samples[tested]).mean())


def share_right(given: Tensor, task: Task) -> float:
    """Returns the share of right answers to all test samples of a task (int64 [N], on the CPU)."""
    return int((given == torch.from_numpy(task.test.labels)).sum()) / len(given)
