"""Elastic weight consolidation: a quadratic penalty for every task learnt so far.

Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (PNAS 2017, arXiv
1612.00796), eq. 3, with one penalty per earlier task, the first of the two ways it names:

    loss + sum_t lambda / 2 sum_i F_{t,i} (theta_i - theta*_{t,i})^2

F_t is the diagonal of the Fisher information of task t at the weights theta*_t it was left with.

The gradient of the sum is lambda (S0 theta - S1) with S0 = sum_t F_t and S1 = sum_t F_t theta*_t:
two tensors per weight hold any number of tasks.

Left open there and decided here: how the Fisher is measured (see importance.py). The scale of
lambda is that of the mean loss per sample and the Fisher per sample; the posterior of the paper
would be lambda = samples of the old task / samples of the new one, useful values are far larger.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.base import State
from methods.data import Stage
from methods.regularisation.importance import FisherConfig, fisher
from methods.regularisation.penalty import Penalised, by_name, of_kind
from methods.tools.tensor_lists import add_to, difference, product


class EWCConfig(FisherConfig):
    """Options of `ewc`."""

    strength: float = Field(
        default=1000.0, ge=0, description="lambda: a task's penalty is half of it times squares."
    )


class EWC(Penalised):
    """Pull every weight towards where each earlier task left it, by its Fisher information."""

    Config = EWCConfig
    config: EWCConfig
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Start without tasks."""
        super().build()
        self.information: list[Tensor] = []
        """S0."""
        self.moment: list[Tensor] = []
        """S1."""

    def pulls(self) -> list[Tensor]:
        """Returns S0 theta - S1."""
        if not self.information:
            return []
        return difference(product(self.information, self.weights), self.moment)

    def after_task(self, stage: Stage) -> None:
        """Add the task's Fisher information to both sums."""
        information = fisher(self.backbone, self.weights, stage, self.config)
        moment = [f * weight.detach() for f, weight in zip(information, self.weights, strict=True)]
        if self.information:
            add_to(information, self.information)
            add_to(moment, self.moment)
        self.information, self.moment = information, moment

    def extra_state(self) -> State:
        """Returns both sums."""
        names = self.protected()
        return by_name("information", names, self.information) | by_name(
            "moment", names, self.moment
        )

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""
        names, device = self.protected(), self.backbone.device
        self.information = of_kind("information", names, state, device)
        self.moment = of_kind("moment", names, state, device)
