"""Task arithmetic: add what the experts learnt.

Ilharco et al., "Editing Models with Task Arithmetic" (ICLR 2023, arXiv 2212.04089), section 4:

    theta = theta_0 + lambda sum_t tau_t

The paper chooses lambda on validation data of all tasks. Here it is one number for any number of
tasks, as it must not depend on the position in an order; 0.3 is what the authors' and others' code
takes for eight tasks and CLIP.
"""

from pydantic import Field

from methods.baselines.finetune import FineTuneConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors


class TaskArithmeticConfig(FineTuneConfig):
    """Options of `task_arithmetic`."""

    scale: float = Field(default=0.3, gt=0, description="lambda: what the sum is multiplied with.")


class TaskArithmetic(Merging):
    """Add a part of the sum of all task vectors to the untouched backbone."""

    Config = TaskArithmeticConfig
    config: TaskArithmeticConfig

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns the sum of the task vectors, scaled."""
        return vectors.each(lambda _, taus: self.config.scale * taus.sum(dim=0))
