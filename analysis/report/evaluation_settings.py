"""How a study evaluates: what its tasks are, which classes it offers, on how many samples, when."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.results import Results

SAMPLING_ERROR = "sampling_error"
"""The metric: standard error of a score that was measured on some of the test samples."""
OFFERED = {
    "task": "task-incremental: among the classes of its own task",
    "seen": "class-incremental: among the classes of all tasks learnt so far",
    "all": "among the classes of all tasks of the study, without being told the task",
}
"""Among what a sample is classified, by `evaluation.choices`."""
_CHOICES = {"accuracy", "class_accuracy"}


def kind_of(metrics: Collection[str]) -> str:
    """Returns what is learnt of a task: choices, pairs or answers, from what is measured of it.

    >>> kind_of(["class_accuracy", "accuracy"]), kind_of(["recall", "i2t_r1"]), kind_of(["anls"])
    ('choices', 'pairs', 'answers')
    """
    if _CHOICES.intersection(metrics):
        return "choices"
    is_recall = any(metric.startswith(("i2t_r", "t2i_r")) for metric in metrics)
    return "pairs" if is_recall else "answers"


def offered(config: Mapping[str, Any]) -> str:
    """Returns which classes are offered, in words; "" where study.yaml does not say.

    >>> offered({"evaluation": {"choices": "seen"}})
    'class-incremental: among the classes of all tasks learnt so far'
    """
    return OFFERED.get(str(_setting(config, "choices")), "")


def offers_others(config: Mapping[str, Any]) -> bool:
    """Returns whether samples are classified among the classes of other tasks, too."""
    return _setting(config, "choices") in ("seen", "all")


def sampling_errors(results: Results) -> pd.DataFrame:
    """Returns split, eval_task, n and error of what was measured on some of the test samples.

    The error is the largest of all stages, methods and replicates.
    """
    stages = results.stages
    found = stages[(stages["metric"] == SAMPLING_ERROR) & (stages["status"] == "ok")]
    groups = found.groupby(["split", "eval_task"])
    return groups.agg(n=("n", "max"), error=("value", "max")).reset_index()


def error_of_mean(errors: pd.DataFrame, num_tasks: int) -> float:
    """Returns the standard error of the mean over tasks, whose samples are drawn by themselves.

    >>> error_of_mean(pd.DataFrame({"split": ["task", "task"], "error": [0.03, 0.04]}), 2)
    0.025
    """
    mine = errors.loc[errors["split"] == "task", "error"].to_numpy(float)
    return float(np.sqrt((mine**2).sum()) / num_tasks)


def _setting(config: Mapping[str, Any], name: str) -> object:
    section = config.get("evaluation")
    return section.get(name) if isinstance(section, Mapping) else None
