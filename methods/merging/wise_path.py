"""WiSE-FT as a read-out: sequential fine-tuning, seen from a part of the way back.

Wortsman et al., "Robust Fine-Tuning of Zero-Shot Models" (CVPR 2022, arXiv 2109.01903): after every
task the model that is evaluated is

    (1 - alpha) theta_0 + alpha theta_t,   alpha = 0.5,

while training goes on from theta_t. (`wise_ft` goes on from the interpolated weights.) The path is
that of `finetune`, whose trainings serve both. Of an adapter it is the product that is scaled.
"""

from typing import ClassVar, Literal

from pydantic import Field

from methods.base import DependsOn, Method
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors


class WisePathConfig(FineTuneConfig):
    """Options of `wise_path`."""

    alpha: float = Field(default=0.5, gt=0, le=1, description="Share of the fine-tuned weights.")


class WisePath(Merging):
    """Fine-tune sequentially, and predict with weights between that and the untouched backbone."""

    Config = WisePathConfig
    config: WisePathConfig
    depends_on: ClassVar[DependsOn] = "sequence"
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    reuses_training_of: ClassVar[type[Method] | None] = FineTune

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns a part of the way that led to the last task."""
        last = vectors.only(vectors.tasks[-1])
        return last.each(lambda _, taus: self.config.alpha * taus[0])
