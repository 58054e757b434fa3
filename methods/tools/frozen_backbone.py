"""The base of methods that leave the backbone as it is and train what they put into it."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.base import Method, MethodConfig
from methods.data import Batch


class FrozenBackboneConfig(MethodConfig):
    """Options of all methods that train new parts of a frozen backbone."""

    lr: float | None = Field(
        default=2e-3,
        gt=0,
        description="Learning rate of the new parts; null: the study's, which suits the weights "
        "of a backbone.",
    )


class FrozenBackbone(Method):
    """Train what the method adds to a frozen backbone, on the task's own loss."""

    is_mean_over_samples: ClassVar[bool] = True
    reads_pixels: ClassVar[bool] = False

    def trainable(self) -> list[str]:
        """Returns everything that does not belong to the backbone."""
        return [name for name, _ in self.named_parameters() if not name.startswith("backbone.")]

    def loss(self, batch: Batch) -> Tensor:
        """Returns the mean negative log-likelihood of the right choice."""
        return self.backbone.loss(batch).mean()
