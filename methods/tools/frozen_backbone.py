"""The base of methods that leave the backbone as it is and train what they put into it."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.backbones.base import READINGS, Family, Reading, Tower
from methods.base import Method, MethodConfig
from methods.data import Batch

PROMPT_LR = 2e-3
"""Learning rate of prompts.

CoOp's, and about that of L2P's and DualPrompt's code, Adam at 0.03 per 256 samples: 1.9e-3 for
batches of 16, 2.8e-3 for batches of 24. DIKI's and DPW's code has SGD at 5 and 1.25, which says
nothing about AdamW: that moves a weight by the rate in every step, here by at most 1 in a thousand
steps with a cosine, as wide as DIKI draws its keys.
"""


class FrozenBackboneConfig(MethodConfig):
    """Options of all methods that train new parts of a frozen backbone."""

    lr: float | None = Field(
        default=PROMPT_LR,
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
