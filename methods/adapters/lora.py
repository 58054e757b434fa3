"""Sequential fine-tuning of low-rank adapters (see low_rank.py): one through all tasks, or many.

With `after_task: merge` every task begins with a newly drawn adapter, and those before are a part
of the weights (see merged_lora.py). All tasks together can then change W by more than the rank.
"""

from typing import ClassVar, Literal

from pydantic import Field

from methods.adapters.merged_lora import MergedLora, MergedLoraConfig
from methods.data import Stage


class LoraConfig(MergedLoraConfig):
    """Options of `lora`."""

    after_task: Literal["keep", "merge"] = Field(
        default="keep",
        description="Whether the next task goes on with the adapter, or it is merged into the "
        "weights and drawn anew.",
    )


class Lora(MergedLora):
    """Train a low-rank adapter beside frozen weights."""

    Config = LoraConfig
    config: LoraConfig
    resumable: ClassVar[bool] = True

    @property
    def merges(self) -> bool:
        """Whether adapters become a part of the weights."""
        return self.config.after_task == "merge"

    def after_task(self, stage: Stage) -> None:
        """Leave the adapter in place, or merge it and draw the next one."""
        if self.merges:
            super().after_task(stage)
