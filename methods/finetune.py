"""Sequential fine-tuning: train all weights on each task in turn and do nothing else.

The baseline that every continual-learning paper starts from.
"""

from torch import Tensor

from methods.base import Method
from methods.data import Batch


class FineTune(Method):
    """Minimise the task's own loss with all weights (but the temperature) free."""

    def loss(self, batch: Batch) -> Tensor:
        """Mean negative log-likelihood of the right choice."""
        return self.backbone.loss(batch).mean()
