"""Quadratic penalties: what keeps weights near where earlier tasks want them.

    loss + lambda / 2 * sum_i F_i (theta_i - theta*_i)^2

with an importance F_i and an anchor theta*_i of every weight, which is all that the methods built
on it differ in. With an adapter the weights are its factors A and B.

The penalty is never part of the loss: `after_backward` adds its gradient, lambda F (theta -
theta*), in closed form to the gradient of the loss, which by then is averaged over the workers.
No graph is built for it, and a method that needs the gradient of the task alone finds it there
before the penalty joins it.

A good lambda depends on the backbone and on how far training moves its weights. The defaults were
found with tiny-clip as in the quickstart, except where a paper names one.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.base import State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Stage
from methods.tools.tensor_lists import add_to, difference, multiply_by


class PenaltyConfig(FineTuneConfig):
    """Options of all methods with a penalty."""

    strength: float = Field(
        default=1.0, ge=0, description="lambda: the penalty is half of it times the squares."
    )


class Penalised(FineTune):
    """Fine-tuning with a pull on the weights."""

    config: PenaltyConfig
    resumable: ClassVar[bool] = True

    def protected(self) -> list[str]:
        """Returns the names of the weights that are pulled."""
        return self.trainable()

    def before_task(self, stage: Stage) -> None:
        """Look up the weights."""
        parameters = dict(self.named_parameters())
        self.weights: list[Tensor] = [parameters[name] for name in self.protected()]

    @abstractmethod
    def pulls(self) -> list[Tensor]:
        """Returns the penalty's gradient over lambda, a tensor per weight; empty: none."""

    def gradients(self) -> list[Tensor]:
        """Returns the gradients of protected weights; zero where the loss depends on none."""
        return [torch.zeros_like(w) if w.grad is None else w.grad for w in self.weights]

    @torch.no_grad()
    def after_backward(self) -> None:
        """Add the gradient of the penalty."""
        pulls = self.pulls()
        if not pulls:
            return
        gradients = self.gradients()
        add_to(gradients, pulls, self.config.strength)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient


class Anchored(Penalised):
    """Pulls every weight, by its importance, to where it was when the task began.

    That is where the task before ended, so that anchors are no part of the state. Nothing is
    important before the first task, which is plain fine-tuning.
    """

    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Start with nothing important."""
        super().build()
        self.importance: list[Tensor] = []

    def before_task(self, stage: Stage) -> None:
        """Drop the anchor."""
        super().before_task(stage)
        self.anchors = [weight.detach().clone() for weight in self.weights]

    @torch.no_grad()
    def moved(self) -> list[Tensor]:
        """Returns theta - theta*."""
        return difference(self.weights, self.anchors)

    def pulls(self) -> list[Tensor]:
        """Returns F (theta - theta*)."""
        if not self.importance:
            return []
        pulls = self.moved()
        multiply_by(pulls, self.importance)
        return pulls

    @abstractmethod
    def consolidate(self, stage: Stage) -> list[Tensor]:
        """Returns the importance of every weight for all tasks so far, this one included."""

    def after_task(self, stage: Stage) -> None:
        """Find out what has become important."""
        self.importance = self.consolidate(stage)
        self.anchors = []

    def extra_state(self) -> State:
        """Returns the importance of every weight."""
        return by_name("importance", self.protected(), self.importance)

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""
        self.importance = of_kind("importance", self.protected(), state, self.backbone.device)


def by_name(kind: str, names: Sequence[str], tensors: Sequence[Tensor]) -> State:
    """Returns one tensor per weight as state; nothing if there are none yet."""
    return {f"{kind}/{name}": t for name, t in zip(names, tensors, strict=True)} if tensors else {}


def of_kind(kind: str, names: Sequence[str], state: State, device: torch.device) -> list[Tensor]:
    """Returns what `by_name` made state of, copied to `device`."""
    return [state[f"{kind}/{name}"].to(device, copy=True) for name in names] if state else []
