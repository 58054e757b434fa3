"""Defines what a diagnostic is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from sweep.stage.rows import Scores
from sweep.stage.samples import TestSamples
from sweep.stage.task_scores import TaskEmbeddings


class Diagnostic:
    """A measurement of a method after every stage, besides its scores.

    A worker makes one object when it loads the method, while the backbone is still untouched, and
    keeps it until it loads another.
    """

    needs_embeddings: ClassVar[bool] = False
    """Whether `of_embeddings` is called; only dual encoders embed images and classes alike."""

    needs_routing: ClassVar[bool] = False
    """Whether it is only about methods that choose by the sample what belongs to a task."""

    def __init__(self, samples: TestSamples) -> None:
        """Takes the samples to measure on.

        Args:
            samples: The test samples; `samples.trainer` gives the method, backbone and tasks.
        """
        self.samples = samples
        trainer = samples.trainer
        self.method, self.backbone = trainer.method, trainer.backbone
        self.tasks = {
            name: task for name, task in trainer.benchmark.tasks.items() if task.form.has_classes
        }
        """Tasks with classes, by name; diagnostics look at no others."""

    def of_tasks(self, given: Mapping[str, Tensor]) -> Scores:
        """Returns scores of tasks that the same weights answer.

        Args:
            given: The method's answers, by task with classes: int64 [N].
        """
        return []

    def of_embeddings(self, found: Mapping[str, TaskEmbeddings], learnt: Sequence[str]) -> Scores:
        """Returns scores of the embeddings that tasks were scored with, all by the same weights.

        Args:
            found: By name, of tasks and held-out suites with classes; tasks come first.
            learnt: The tasks learnt so far.
        """
        return []

    def of_model(self) -> Scores:
        """Returns scores of the model as a whole; not called for methods that use task ids."""
        return []

    def embeddings(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Returns rows of the embeddings table for tasks that the same weights answer."""
        return []
