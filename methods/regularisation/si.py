"""Synaptic intelligence: a weight is important if its movement made the loss fall.

Zenke et al., "Continual Learning Through Synaptic Intelligence" (ICML 2017, arXiv 1703.04200):

    omega_i = - sum over steps of g_i (theta_i after - theta_i before)              (eq. 3)
    Omega_i <- Omega_i + omega_i / (Delta_i^2 + xi)  after a task                   (eq. 5)
    loss + c sum_i Omega_i (theta_i - theta*_i)^2                                   (eq. 4)

g is the gradient of the task's loss alone, Delta the whole movement of the task, theta* the weights
at the end of the last task. Here c = lambda / 2, as in the other penalties.

xi is here a share (`damping`) of the mean of Delta^2 over all weights. The paper's 0.1 or 1e-3 was
made for networks that are trained from nothing; in fine-tuning the mean of Delta^2 is 1e-8 to 1e-5
(tiny CLIPs at rates of 1e-5 and 1e-3), and omega would be divided by a constant. So scaled, Omega
means at any learning rate what eq. 4 wants it to: with c = 1 the way back costs about what the way
there gained.

Left open there and decided here: g is the gradient of the whole step's batch, before it is clipped
and before the penalty joins it; the movement is whatever the optimiser made of it (the paper has
plain gradient descent in mind, under which both are parallel). A weight whose movement made the
loss rise has omega < 0; it counts as unimportant, because a negative Omega would push weights away
without end.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.base import State
from methods.data import Stage
from methods.regularisation.penalty import Anchored, PenaltyConfig, by_name, of_kind
from methods.tools.tensor_lists import add_products_to, add_to, difference


class SIConfig(PenaltyConfig):
    """Options of `si`."""

    strength: float = Field(
        default=2.0,
        ge=0,
        description="lambda, twice the paper's c: half of it times the squares.",
    )
    damping: float = Field(
        default=1.0,
        gt=0,
        description="xi over the mean square of how far weights moved: bounds the importance of "
        "those that hardly did.",
    )


class SI(Anchored):
    """Pull every weight back, by what its movement gained in all tasks so far."""

    Config = SIConfig
    config: SIConfig
    resumable: ClassVar[bool] = True

    def before_task(self, stage: Stage) -> None:
        """Begin the path."""
        super().before_task(stage)
        self.path = [torch.zeros_like(weight) for weight in self.weights]

    @torch.no_grad()
    def after_backward(self) -> None:
        """Note the gradient of the task and where the step starts from."""
        self.slope = [gradient.clone() for gradient in self.gradients()]
        self.origin = [weight.detach().clone() for weight in self.weights]
        super().after_backward()

    @torch.no_grad()
    def after_step(self) -> None:
        """Add what the step gained, to first order."""
        step = difference(self.weights, self.origin)
        add_products_to(self.path, self.slope, step, -1)

    def step_state(self) -> State:
        """Returns what the path has gained so far."""
        return by_name("path", self.protected(), self.path)

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.path = of_kind("path", self.protected(), state, self.backbone.device)

    def consolidate(self, stage: Stage) -> list[Tensor]:
        """Returns Omega + max(omega, 0) / (Delta^2 + xi)."""
        squares = [moved.square() for moved in self.moved()]
        total = torch.stack([square.sum(dtype=torch.float64) for square in squares]).sum()
        xi = self.config.damping * total / sum(square.numel() for square in squares)
        # Where nothing moved, nothing was gained.
        xi = xi.clamp(min=torch.finfo(torch.float32).tiny).to(squares[0].dtype)
        gained = [
            path.clamp(min=0) / (square + xi)
            for path, square in zip(self.path, squares, strict=True)
        ]
        if self.importance:
            add_to(gained, self.importance)
        self.path, self.slope, self.origin = [], [], []
        return gained
