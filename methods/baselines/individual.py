"""One independent expert per task, chosen by the known task at test time.

The usual upper bound without transfer between tasks. Tasks not learnt yet, and data of no task,
are answered by the untouched backbone.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from methods.base import DependsOn, MethodConfig, State
from methods.baselines.finetune import FineTune
from methods.data import Stage


class Individual(FineTune):
    """Fine-tune the pretrained backbone on every task separately."""

    depends_on: ClassVar[DependsOn] = "task"
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "set"
    resumable: ClassVar[bool] = True

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns true: the task chooses the expert."""
        return True

    def build(self) -> None:
        """Start without experts."""
        super().build()
        self.experts: Mapping[str, State] = {}

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Hold the experts of all tasks learnt so far."""
        self.experts = experts

    def select(self, task: str | None) -> None:
        """Put the weights of the task's expert in place."""
        self.load_state(self._initial | self.experts.get(task or "", {}))
