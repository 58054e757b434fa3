"""Says how every stage is evaluated: the `evaluation:` section of a study file."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from sweep.errors import unknown
from sweep.registry import check
from sweep.section import Section
from sweep.tasks.base import SCORES_OF

METRICS = tuple(metric for metrics in SCORES_OF.values() for metric in metrics)
"""What may be the score of a task or a probe, of whichever kind it is."""
Choices = Literal["task", "seen", "all"]


class Evaluation(Section):
    """How every stage is evaluated.

    >>> rows = [
    ...     {"split": "task", "eval_task": "pets", "metric": metric, "value": value}
    ...     for metric, value in (("accuracy", 0.8), ("class_accuracy", 0.7))
    ... ]
    >>> Evaluation(score={"pets": "class_accuracy"}).task_scores(rows)
    {'pets': 0.7}
    """

    batch_size: int = Field(default=512, ge=1, description="Images of one forward pass.")
    score: str | dict[str, str] | None = Field(
        default=None,
        description="What accuracy matrices, and all metrics and statistics, are made of, where it "
        "is not the score that the benchmark gives a task (accuracy, unless it says otherwise): "
        "say class_accuracy, the mean of the accuracies on single classes, of all tasks that have "
        "it; or by task or probe, as in {pets: class_accuracy}. All metrics are recorded, so "
        "nothing is trained or evaluated again for another choice.",
    )
    choices: Choices = Field(
        default="task",
        description="The classes among which every test sample of a task is classified: those of "
        "the task (task-incremental); those of all tasks learnt so far and its own "
        "(class-incremental); or those of all tasks of the study (as in X-TAIL). Classes of equal "
        "name are one. Training is the same.",
    )
    samples: int | None = Field(
        default=None,
        ge=2,
        description="Test samples of every task and probe, at most: a fixed part with the classes "
        "in proportion, the same for all stages, methods and replicates; null: all.",
    )
    seed: int = Field(default=0, ge=0, description="Another seed draws other test samples.")
    every: int = Field(
        default=1,
        ge=1,
        description="Evaluate everything after every so many stages and after the last one; after "
        "the others the tasks just learnt alone. Metrics that need all stages are then undefined.",
    )
    diagnostics: tuple[str, ...] = Field(
        default=(),
        description="What to measure besides scores and mean embeddings: which modality and which "
        "tower accuracy comes from (modality, towers, mm_shap), how far representations move "
        "(cka), embeddings of single samples (features), whether images of other tasks are told "
        "apart from those of known ones (ood), for whose task methods without task ids take a "
        "sample (routing); or package.module:Class.",
    )

    @field_validator("score", mode="before")
    @classmethod
    def _is_recorded(cls, score: Any) -> Any:
        named = score.values() if isinstance(score, dict) else [] if score is None else [score]
        for name in named:
            if name not in METRICS:
                raise unknown("score", str(name), METRICS, "which of them by task")
        return score

    @field_validator("diagnostics")
    @classmethod
    def _known_and_once(cls, diagnostics: tuple[str, ...]) -> tuple[str, ...]:
        for diagnostic in diagnostics:
            check("diagnostics", diagnostic)
        return tuple(sorted(set(diagnostics)))

    def chosen(self, name: str) -> str | None:
        """Returns which metric this section makes the score of a task, if it says so."""
        return self.score.get(name) if isinstance(self.score, dict) else self.score

    def scores_in(self, rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
        """Returns which metric is the score, by split and name, of every task and probe in rows."""
        metrics: dict[tuple[str, str], dict[str, bool]] = {}
        for row in rows:
            if row["split"] in ("task", "probe"):
                found = metrics.setdefault((row["split"], row["eval_task"]), {})
                found[row["metric"]] = row.get("is_primary", False)
        scores = {}
        for (split, name), found in metrics.items():
            own = [metric for metric, is_primary in found.items() if is_primary]
            wanted = [self.chosen(name), *own, "accuracy"]
            scores[split, name] = next((m for m in wanted if m in found), "")
        return scores

    def task_scores(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """Returns the score of every task, from the rows of an evaluation."""
        rows = list(rows)
        scores = self.scores_in(rows)
        return {
            row["eval_task"]: row["value"]
            for row in rows
            if row["split"] == "task" and scores["task", row["eval_task"]] == row["metric"]
        }
