"""Consensus merging: of the sum of all experts, what more than one of them needs.

Wang et al. (ICML 2024, arXiv 2405.07813; see tall.py), section 5: with the TALL masks m_t of all
tasks

    theta = theta_0 + alpha 1[ sum_t m_t >= k ] tau,    k = 2,

which leaves out what serves one task alone or none. No task is needed at test time.

Left open there and decided here: with fewer than k tasks all of them have to agree. The paper
chooses alpha on validation data; 0.3 is that of task arithmetic.
"""

from pydantic import Field
from torch import Tensor

from methods.merging.base import Merging
from methods.merging.tall import TallConfig, tall_masks
from methods.merging.task_vectors import MadeOnDemand, TaskVectors


class ConsensusConfig(TallConfig):
    """Options of `consensus`."""

    agree: int = Field(default=2, ge=1, description="k: tasks that have to need an entry.")
    scale: float = Field(default=0.3, gt=0, description="alpha: what is merged counts so much.")


class Consensus(Merging):
    """Add up experts where more than one of them needs it."""

    Config = ConsensusConfig
    config: ConsensusConfig

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns the sum of the task vectors where enough masks agree, scaled."""
        enough = min(self.config.agree, len(vectors.tasks))

        def needed(_: str, taus: Tensor) -> Tensor:
            agreed = tall_masks(taus, self.config.threshold).sum(dim=0) >= enough
            return self.config.scale * agreed * taus.sum(dim=0)

        return vectors.each(needed)
