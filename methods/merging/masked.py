"""What methods share that merge all experts into one vector and cut each out of it again.

Of the experts only this is left: one vector tau for all of them, and per expert a mask M_t over its
entries and a factor l_t, from which the model for a known task is put together:

    theta_t = theta_0 + l_t M_t tau

Tasks that were not learnt yet, and data of no task, meet the untouched backbone.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from methods.merging.base import Merging
from methods.merging.task_vectors import TaskVectors, Vector


@dataclass(frozen=True, eq=False)
class Unified:
    """One vector for several experts, and what tells them apart in it."""

    tasks: tuple[str, ...]
    vector: Vector
    masks: Vector
    """By weight: bool [T, *shape]."""
    factors: Tensor
    """float32 [T], on the CPU."""

    @property
    def nbytes(self) -> int:
        """The memory of the vector and its masks."""
        tensors = (*self.vector.values(), *self.masks.values())
        return sum(tensor.nbytes for tensor in tensors)

    def to(self, device: torch.device | str) -> "Unified":
        """Returns the same on a device."""
        vector = {weight: tensor.to(device) for weight, tensor in self.vector.items()}
        masks = {weight: tensor.to(device) for weight, tensor in self.masks.items()}
        return Unified(self.tasks, vector, masks, self.factors)

    def expert(self, task: str) -> Vector:
        """Returns the vector of one expert."""
        row = self.tasks.index(task)
        return {w: self.factors[row] * self.masks[w][row] * tau for w, tau in self.vector.items()}


class Masked(Merging):
    """Train experts, then keep one vector and a mask of each."""

    uses_task_id: ClassVar[bool] = True
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Start without experts."""
        super().build()
        self.unified = Unified((), {}, {}, torch.empty(0))

    @abstractmethod
    def unify(self, vectors: TaskVectors) -> Unified:
        """Returns one vector and the masks of all experts."""

    def merge(self, vectors: TaskVectors) -> Vector:
        """Unify; until a task is selected the backbone stays untouched."""
        self.unified = self.unify(vectors)
        return {}

    def select(self, task: str | None) -> None:
        """Put the weights of the task's expert in place, if there is one."""
        self.become(self.unified.expert(task) if task in self.unified.tasks else {})
