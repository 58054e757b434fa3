"""Joint training: the pretrained backbone on the union of the tasks seen so far.

The usual upper bound for continual learning. Every step draws one batch from one task; tasks are
visited equally often in a shuffled order, and every sample is classified among the choices of its
own task. One training per set of tasks serves all orders.
"""

from typing import ClassVar

from methods.base import DependsOn
from methods.baselines.finetune import FineTune


class Joint(FineTune):
    """Fine-tune on all tasks of the prefix at once, with their numbers of steps added up."""

    depends_on: ClassVar[DependsOn] = "set"

    @classmethod
    def tasks_trained_on(cls, prefix: tuple[str, ...]) -> tuple[str, ...]:
        """Returns all tasks so far."""
        return prefix
