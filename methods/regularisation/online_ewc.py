"""Online elastic weight consolidation: one quadratic penalty, however many tasks.

Schwarz et al., "Progress & Compress: A scalable framework for continual learning" (ICML 2018, arXiv
1805.06370):

    loss + lambda / 2 sum_i F_i (theta_i - theta*_i)^2,   F <- gamma F + F_t after task t

with theta* the weights at the end of the last task, whatever task it was. gamma below 1 lets old
tasks go.

Left open there and decided here: how the Fisher is measured (see importance.py). The paper also
normalises the Fisher of every task; here it keeps its scale, as in `ewc`, with which it coincides
on the first two tasks.
"""

from pydantic import Field
from torch import Tensor

from methods.data import Stage
from methods.regularisation.importance import FisherConfig, fisher
from methods.regularisation.penalty import Anchored
from methods.tools.tensor_lists import add_to


class OnlineEWCConfig(FisherConfig):
    """Options of `online_ewc`."""

    strength: float = Field(
        default=1000.0, ge=0, description="lambda: the penalty is half of it times the squares."
    )
    decay: float = Field(
        default=1.0, ge=0, le=1, description="gamma: share of the importance that a task leaves."
    )


class OnlineEWC(Anchored):
    """Pull every weight towards where the last task left it, by a running Fisher information."""

    Config = OnlineEWCConfig
    config: OnlineEWCConfig

    def information(self, stage: Stage) -> list[Tensor]:
        """Returns F_t, one tensor per protected weight."""
        return fisher(self.backbone, self.weights, stage, self.config)

    def consolidate(self, stage: Stage) -> list[Tensor]:
        """Now gamma F + F_t."""
        information = self.information(stage)
        if self.importance:
            add_to(information, self.importance, self.config.decay)
        return information
