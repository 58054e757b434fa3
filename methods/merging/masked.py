"""What methods share that merge all experts into one vector and cut each out of it again.

Of the experts only this is left: one vector tau for all of them, and per expert a mask M_t over its
entries and a factor l_t, from which the model for a known task is put together:

    theta_t = theta_0 + l_t M_t tau

Tasks that were not learnt yet, and data of no task, meet the untouched backbone.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from methods.base import MethodConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors, Vector


@dataclass(frozen=True, eq=False)
class Unified:
    """One vector for several experts, and what tells them apart in it; on the CPU."""

    tasks: tuple[str, ...]
    vector: Vector
    masks: Vector
    """By weight: a bit per expert and entry, packed into uint8 [T, entries / 8]."""
    factors: Tensor
    """float32 [T]."""

    @property
    def nbytes(self) -> int:
        """The memory of the vector and its masks."""
        tensors = (*self.vector.values(), *self.masks.values())
        return sum(tensor.nbytes for tensor in tensors)

    def expert(self, task: str) -> MadeOnDemand:
        """Returns the vector of one expert."""
        row = self.tasks.index(task)
        return MadeOnDemand(self.vector, lambda weight: self.rows(weight, slice(row, row + 1))[0])

    def rows(self, weight: str, some: slice = slice(None)) -> Tensor:
        """Returns the vectors of all experts, or of some, at one weight: [T, *shape]."""
        tau = self.vector[weight]
        masks = unpacked(self.masks[weight][some], tau.shape)
        return self.factors[some].view(-1, *[1] * tau.dim()) * masks * tau


def packed(masks: Tensor) -> Tensor:
    """Returns masks [T, *shape] as bits, a row of bytes per mask, on the CPU: uint8 [T, .]."""
    return torch.from_numpy(np.packbits(masks.cpu().flatten(1).numpy(), axis=1))


def unpacked(bits: Tensor, shape: torch.Size) -> Tensor:
    """Returns the inverse of `packed`: bool [T, *shape]."""
    entries = np.unpackbits(bits.numpy(), axis=1, count=shape.numel())
    return torch.from_numpy(entries).bool().view(-1, *shape)


class Masked(Merging):
    """Train experts, then keep one vector and a mask of each."""

    resumable: ClassVar[bool] = True

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns true: the task chooses the mask, and tasks not learnt have none."""
        return True

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
