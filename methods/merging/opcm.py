"""OPCM: merge experts one by one, each orthogonally to what is merged already.

Tang et al., "Merging Models on the Fly Without Retraining: A Sequential Approach to Scalable
Continual Model Merging" (NeurIPS 2025, arXiv 2501.09522). When expert t comes in, the merged vector
D of every weight becomes

    D_t = (lambda_{t-1} D_{t-1} + P(tau_t)) / lambda_t,      D_1 = tau_1,   lambda_1 = 1.

For the matrices of linear layers, with the singular value decomposition D_{t-1} = U S V^T, P(tau)
is tau without those entries of U^T tau V that are on the diagonal, or in the leading block of the
directions that hold the share alpha of the sum of singular values. Other weights are taken as they
are. lambda_t gives D_t, over all weights, the mean length of tau_1..tau_t. alpha = 0.5.

Left open there and decided here, the first as in the authors' code:
- The leading block has as many directions as hold at most the share alpha, and only what lies in it
  on both sides is dropped. (The paper's sum starts from them on either side.)
- Directions in which D_{t-1} is zero up to rounding are none of its own: nothing is dropped there.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.baselines.finetune import FineTuneConfig
from methods.merging.base import Merging
from methods.merging.beginnings import Beginnings
from methods.merging.task_vectors import TaskVectors, Vector


class OPCMConfig(FineTuneConfig):
    """Options of `opcm`."""

    alpha: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the singular values of what is merged that is kept clear.",
    )


@dataclass(frozen=True)
class Merged:
    """What a sequence of experts has become."""

    vector: Vector
    """On the CPU: of a sequence, what every beginning has become is kept."""
    scaling: float
    """lambda_t"""
    lengths: tuple[float, ...]
    """Of the task vectors so far."""

    @property
    def nbytes(self) -> int:
        """The memory of the vector."""
        return sum(tensor.nbytes for tensor in self.vector.values())


class OPCM(Merging):
    """Merge experts one by one, in directions that earlier ones left free."""

    Config = OPCMConfig
    config: OPCMConfig
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Start with nothing merged; look up which weights are matrices of linear layers."""
        super().build()
        self.beginnings = Beginnings[Merged](lambda merged: merged.nbytes)
        self.matrices = {
            f"{name}.weight" for name, layer in self.named_modules() if isinstance(layer, nn.Linear)
        }

    def merge(self, vectors: TaskVectors) -> Vector:
        """Go on from the longest beginning that the sequence before had in common."""
        return self.beginnings.merge(vectors, first, self.add).vector

    def add(self, merged: Merged, one: TaskVectors) -> Merged:
        """Let one more expert in; on the device is no more than one weight at a time."""
        vector: Vector = {}
        sizes, sizes_of_tau = [], []
        for weight, (tau,) in one.items():
            held = merged.vector[weight].to(tau.device)
            change = outside(held, tau, self.config.alpha) if weight in self.matrices else tau
            total = merged.scaling * held + change
            sizes.append(total.norm())
            sizes_of_tau.append(tau.norm())
            vector[weight] = total.cpu()
        lengths = (*merged.lengths, length(sizes_of_tau))
        scaling = length(sizes) / (sum(lengths) / len(lengths))
        for total in vector.values():
            total.div_(scaling)
        return Merged(vector, scaling, lengths)


def first(one: TaskVectors) -> Merged:
    """Returns what a single expert becomes: itself."""
    vector: Vector = {}
    sizes = []
    for weight, (tau,) in one.items():
        sizes.append(tau.norm())
        vector[weight] = tau.cpu()
    return Merged(vector, 1.0, (length(sizes),))


def length(sizes: list[Tensor]) -> float:
    """Returns that of a vector, from those of its weights."""
    return float(torch.stack(sizes).norm())


def outside(held: Tensor, change: Tensor, alpha: float) -> Tensor:
    """Returns P, the part of `change` that keeps clear of `held`; both [M, N]."""
    u, s, vt = torch.linalg.svd(held, full_matrices=False)
    real = s > s[0] * max(held.shape) * torch.finfo(s.dtype).eps
    u, s, vt = u[:, real], s[real], vt[real]
    leading = s.cumsum(dim=0) <= alpha * s.sum()
    met = u.T @ change @ vt.T
    clear = ~(torch.outer(leading, leading) | torch.eye(len(s), dtype=torch.bool, device=s.device))
    kept: Tensor = change - u @ met.masked_fill(clear, 0) @ vt
    return kept
