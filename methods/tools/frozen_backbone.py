"""The base of methods that leave the backbone as it is and train what they put into it."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.backbones.base import READINGS, Family, Reading, Tower
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
    resumable: ClassVar[bool] = True
    reads_pixels: ClassVar[bool] = False

    prompted: ClassVar[tuple[Reading, ...]] = READINGS
    """What reads prompts of this method, if these are what it adds."""

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns the towers that get prompts: of fusion models only the text tower does."""
        of_dual_encoders: dict[Reading, Tower] = {"images": "vision", "texts": "text"}
        return frozenset(
            "text" if family == "fusion" else of_dual_encoders[reading] for reading in cls.prompted
        )

    def trainable(self) -> list[str]:
        """Returns everything that does not belong to the backbone."""
        return [name for name, _ in self.named_parameters() if not name.startswith("backbone.")]

    def loss(self, batch: Batch) -> Tensor:
        """Returns the mean negative log-likelihood of the right choice."""
        return self.backbone.loss(batch).mean()
