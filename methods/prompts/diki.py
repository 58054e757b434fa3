"""DIKI: a residual attention branch per task, as strong as an image looks like the task's.

Tang et al., "Mind the Interference: Retaining Pre-trained Knowledge in Parameter Efficient
Continual Learning of Vision-Language Models" (ECCV 2024, arXiv 2407.05342). In the first layers of
both towers every task t has keys P_K and values P_V of its own beside a frozen backbone,

    out = Attn(Q, K, V) + w Attn(Q, P_K, P_V),      P_K ~ U(-1, 1) and P_V = 0 at the start,

so that nothing is changed before training. How images choose a task, what w is, and what differs
from the authors' code: routed.py. Eight layers and 8 pairs are theirs, as is a rate of 5 for SGD.
"""

from typing import ClassVar

import torch
from pydantic import Field

from methods.prompts.base import Residuals
from methods.prompts.routed import Routed, RoutedConfig


class DIKIConfig(RoutedConfig):
    """Options of `diki`."""

    depth: int = Field(default=8, ge=1, description="How many layers of a tower, from the first.")


class DIKI(Routed):
    """Train a residual attention branch per task; images go to the task they look like."""

    Config = DIKIConfig
    config: DIKIConfig
    resumable: ClassVar[bool] = True
    prompts: Residuals

    def build(self) -> None:
        """Put the prompts of one task into both towers."""
        super().build()
        layers = self.layers(self.config.depth)
        self.prompts = Residuals(self.backbone, layers, 1, self.config.length)

    def draw(self, generator: torch.Generator) -> None:
        """Draw new keys; without values they change nothing yet."""
        self.prompts.draw(generator, keys=1.0, values=0.0)
