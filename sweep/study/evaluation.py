"""Says how every stage is evaluated: the `evaluation:` section of a study file."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from sweep.errors import unknown
from sweep.registry import check
from sweep.section import Section

Score = Literal["accuracy", "class_accuracy"]
SCORES: tuple[Score, ...] = get_args(Score)
"""What may be the score of a task or a probe; every stage records all of them."""


class Evaluation(Section):
    """How every stage is evaluated.

    >>> Evaluation(score={"pets": "class_accuracy"}).score_of("pets")
    'class_accuracy'
    """

    batch_size: int = Field(default=512, ge=1, description="Images of one forward pass.")
    score: Score | dict[str, Score] = Field(
        default="accuracy",
        description="What accuracy matrices, and all metrics and statistics, are made of: "
        "accuracy, or class_accuracy, the mean of the accuracies on single classes; or which of "
        "them by task or probe, as in {pets: class_accuracy}, accuracy for all others. Both are "
        "recorded, so nothing is trained or evaluated again for another choice.",
    )
    diagnostics: tuple[str, ...] = Field(
        default=(),
        description="What to measure besides scores and mean embeddings: which modality and which "
        "tower accuracy comes from (modality, towers, mm_shap), how far representations move "
        "(cka), embeddings of single samples (features); or package.module:Class.",
    )

    @field_validator("score", mode="before")
    @classmethod
    def _is_recorded(cls, score: Any) -> Any:
        for name in score.values() if isinstance(score, dict) else [score]:
            if name not in SCORES:
                raise unknown("score", str(name), SCORES, "which of them by task")
        return score

    @field_validator("diagnostics")
    @classmethod
    def _known_and_once(cls, diagnostics: tuple[str, ...]) -> tuple[str, ...]:
        for diagnostic in diagnostics:
            check("diagnostics", diagnostic)
        return tuple(sorted(set(diagnostics)))

    def score_of(self, name: str) -> Score:
        """Returns which metric is the score of a task or a probe."""
        return self.score.get(name, "accuracy") if isinstance(self.score, dict) else self.score

    def is_score(self, row: Mapping[str, Any]) -> bool:
        """Returns whether a row of an evaluation is the score of a task or a probe."""
        is_scored = row["split"] in ("task", "probe")
        return is_scored and row["metric"] == self.score_of(row["eval_task"])

    def task_scores(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """Returns the score of every task, from the rows of an evaluation."""
        found = (row for row in rows if row["split"] == "task" and self.is_score(row))
        return {row["eval_task"]: row["value"] for row in found}
