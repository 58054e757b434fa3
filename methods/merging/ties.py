"""TIES: trim task vectors, elect signs, and average what agrees.

Yadav et al., "TIES-Merging: Resolving Interference When Merging Models" (NeurIPS 2023, arXiv
2306.01708), algorithm 1. Of every task vector the entries of largest magnitude are kept, a share
`density` of all entries of the model, and the others set to zero. Per entry then

    gamma = sign(sum_t tau_t)                                   (elected sign, by mass)
    tau = mean of the tau_t != 0 with the sign gamma            (disjoint mean)
    theta = theta_0 + lambda tau

density = 0.2 and lambda = 1 is the paper's recipe where there are no validation data. (The code of
MagMax takes lambda = 0.55.)

Left open there and decided here: of entries that are equal to the smallest one kept all are kept;
a sum of zero elects plus, as in peft, whose election and mean these are. peft's trimming is per
weight; the paper's is over the whole vector, and so it is here.
"""

from collections.abc import Collection
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.baselines.finetune import FineTuneConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors

_HALF = 16
"""Bits of half a float32."""


class TiesConfig(FineTuneConfig):
    """Options of `ties`."""

    density: float = Field(
        default=0.2, gt=0, le=1, description="Share of the entries of a task vector that is kept."
    )
    scale: float = Field(default=1.0, gt=0, description="lambda: what is merged counts so much.")


class Ties(Merging):
    """Merge the largest entries of experts where their signs agree."""

    Config = TiesConfig
    config: TiesConfig
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Start with no vector seen."""
        super().build()
        self.limits: dict[tuple[int, str], float] = {}

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns the trimmed vectors' mean over the elected signs."""
        limits = torch.tensor([self.limit(vectors, task) for task in vectors.tasks])
        return vectors.each(lambda _, taus: self.config.scale * agreed_mean(trim(taus, limits)))

    def limit(self, vectors: TaskVectors, task: str) -> float:
        """Returns the smallest magnitude that is kept of an expert; found only once."""
        key = (vectors.seed, task)
        if key not in self.limits:
            self.limits[key] = smallest_kept(vectors.only(task).values(), self.config.density)
        return self.limits[key]


def smallest_kept(weights: Collection[Tensor], density: float) -> float:
    """Returns the smallest magnitude among the share `density` of the largest entries of all.

    It is found exactly, in two looks at one weight after the other: bits of positive float32 grow
    with the number that they stand for, so that counts of their upper halves say in which of 65536
    bins it is, and counts of the lower halves in that bin say where.

    Args:
        weights: float32, of any shapes; gone through twice.
        density: The share.
    """
    counts, size = torch.zeros(2**_HALF, dtype=torch.int64), 0
    for weight in weights:
        counts += _counted(_bits(weight) >> _HALF)
        size += weight.numel()
    rank = max(1, int(density * size))
    upper, above = _bin_of(counts, rank)
    counts.zero_()
    for weight in weights:
        bits = _bits(weight)
        counts += _counted(bits[bits >> _HALF == upper] & (2**_HALF - 1))
    lower, _ = _bin_of(counts, rank - above)
    return float(torch.tensor(upper << _HALF | lower, dtype=torch.int32).view(torch.float32))


def _bits(weight: Tensor) -> Tensor:
    """Returns the bits of magnitudes, as numbers of the same order: int32 [N]."""
    return weight.flatten().abs().float().view(torch.int32)


def _counted(numbers: Tensor) -> Tensor:
    return torch.bincount(numbers, minlength=2**_HALF).cpu()


def _bin_of(counts: Tensor, rank: int) -> tuple[int, int]:
    """Returns the bin of the entry of a rank, 1 the largest, and how many are in higher bins."""
    from_above = counts.flip(0).cumsum(0)
    place = int((from_above < rank).sum())
    return len(counts) - 1 - place, int(from_above[place - 1]) if place else 0


def trim(vectors: Tensor, limits: Tensor) -> Tensor:
    """Returns the rows of [T, ...] with zeros where entries are below a row's limit, of [T]."""
    limits = limits.to(vectors.device).view(-1, *[1] * (vectors.dim() - 1))
    return vectors.where(vectors.abs() >= limits, 0)


def agreed_mean(vectors: Tensor) -> Tensor:
    """Returns the mean over rows of [T, ...] of non-zero entries with the sign of the sum."""
    from peft.utils.merge_utils import calculate_majority_sign_mask, disjoint_merge

    mean: Tensor = disjoint_merge(vectors, calculate_majority_sign_mask(vectors))
    return mean
