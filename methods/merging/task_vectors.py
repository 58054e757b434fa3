"""Task vectors: by how much the weights of experts differ from those of the untouched backbone.

Ilharco et al., "Editing Models with Task Arithmetic" (ICLR 2023, arXiv 2212.04089), section 2:

    tau_t = theta_t - theta_0

An expert that is an adapter has the same vector as one that trained all weights would have: that of
an adapted layer is its update of the frozen weight, (alpha / r) B A. The factors themselves are not
merged. They are no coordinates of a model: (B R, R^-1 A) is the same expert for every invertible R,
but would merge into another model; and a mean of factors is not the mean of the updates.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods.base import State
from methods.seeds import derive_seed
from methods.tools.low_rank import LoraOptions

Vector = dict[str, Tensor]
"""By how much weights change, by the name of the weight; those that are missing do not."""

ADAPTED = ".base_layer.weight"
"""How the name of a frozen weight ends that has an adapter beside it."""


class MadeOnDemand(Mapping[str, Tensor]):
    """A vector of which no weight takes memory before it is asked for, or afterwards."""

    def __init__(self, weights: Collection[str], make: Callable[[str], Tensor]) -> None:
        """Makes nothing yet.

        Args:
            weights: Their names.
            make: Returns the change of one of them.
        """
        self._weights = weights
        self._make = make

    def __getitem__(self, weight: str) -> Tensor:
        return self._make(weight)

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


@dataclass(frozen=True, eq=False)
class TaskVectors(Mapping[str, Tensor]):
    """The task vectors of some experts: by weight, one row per expert, [T, *shape].

    They are made when they are asked for, on `device`, so that rules that look at one weight after
    the other never hold all experts there.
    """

    experts: Mapping[str, State]
    """The states of the experts, by task."""
    start: State
    """The state of the untouched backbone."""
    weights: tuple[str, ...]
    """Names of the weights that differ."""
    adapter: LoraOptions | None
    device: torch.device
    seed: int
    """For what is random in a merge: that of the replicate."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Whose row is which."""
        return tuple(self.experts)

    def __getitem__(self, weight: str) -> Tensor:
        return torch.stack([self._row(state, weight) for state in self.experts.values()])

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)

    def each(self, rule: Callable[[str, Tensor], Tensor]) -> "MadeOnDemand":
        """Returns what a rule makes of each weight's rows, when it is asked for."""
        return MadeOnDemand(self.weights, lambda weight: rule(weight, self[weight]))

    def only(self, task: str) -> "TaskVectors":
        """Those of one expert."""
        return replace(self, experts={task: self.experts[task]})

    def chances(self, weight: str, rows: Tensor) -> Tensor:
        """Returns a random number in [0, 1) for every entry of a weight: float32 [T, *shape].

        They depend on the replicate and the task, not on which others are merged or when.
        """
        return torch.stack(
            [
                torch.rand(
                    row.shape,
                    generator=torch.Generator().manual_seed(derive_seed(self.seed, task, weight)),
                )
                for task, row in zip(self.tasks, rows, strict=True)
            ]
        ).to(self.device)

    def _row(self, state: State, weight: str) -> Tensor:
        if not self.adapter:
            return (state[f"weights/{weight}"] - self.start[f"weights/{weight}"]).to(self.device)
        layer = f"weights/{weight.removesuffix(ADAPTED)}"
        a, b = (state[f"{layer}.lora_{factor}.default.weight"].to(self.device) for factor in "AB")
        return self.adapter.alpha / self.adapter.rank * (b @ a)
