"""L2 towards a starting point: all weights are equally important.

    loss + lambda / 2 sum_i (theta_i - theta*_i)^2

Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional Networks" (ICML 2018,
arXiv 1802.01483), has the pretrained weights for theta* ("L2-SP"); Zheng et al., "Preventing
Zero-Shot Transfer Degradation in Continual Learning of Vision-Language Models" (ICCV 2023, arXiv
2303.06628), the weights at the start of the task ("weight consolidation"; its weight of 1 has no
half, so that lambda = 2). There is no new head, for which Li et al. have a second term.

The penalty holds from the first task on: the pretrained model is what it protects then.

Left open there and decided here: with an adapter the pretrained weights are where B A vanishes, and
both factors are pulled to zero.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.data import Stage
from methods.regularisation.penalty import Penalised, PenaltyConfig
from methods.tools.tensor_lists import difference


class L2SPConfig(PenaltyConfig):
    """Options of `l2_sp`."""

    strength: float = Field(
        default=2.0, ge=0, description="lambda: the penalty is half of it times the squares."
    )
    towards: Literal["task_start", "pretrained"] = Field(
        default="task_start",
        description="Weights are pulled to where the task started, or to the pretrained ones.",
    )


class L2SP(Penalised):
    """Pull all weights alike towards a starting point."""

    Config = L2SPConfig
    config: L2SPConfig
    resumable: ClassVar[bool] = True

    def before_task(self, stage: Stage) -> None:
        """Look up the starting point."""
        super().before_task(stage)
        if self.config.towards == "task_start":
            self.anchors = [weight.detach().clone() for weight in self.weights]
        elif self.adapter:
            self.anchors = [torch.zeros_like(weight) for weight in self.weights]
        else:
            initial = (self._initial[f"weights/{name}"] for name in self.protected())
            self.anchors = [tensor.to(self.backbone.device) for tensor in initial]

    def pulls(self) -> list[Tensor]:
        """Returns all alike: theta - theta*."""
        return difference(self.weights, self.anchors)
