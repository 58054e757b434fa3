"""RandMix: every weight from an expert drawn at random; a baseline for rules that choose.

From the comparisons of MagMax (Marczak et al., ECCV 2024, arXiv 2407.06322): per entry

    tau = tau_t with t uniform in 1..T,   theta = theta_0 + lambda tau,   lambda = 1.

Left open there and decided here: an expert's tickets in the draw depend on the replicate, its task
and the entry, and the highest ticket wins. So the draw is uniform, the same for all orders of a
set, and a further expert takes entries without reshuffling the others.
"""

from pydantic import Field
from torch import Tensor

from methods.baselines.finetune import FineTuneConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors


class RandMixConfig(FineTuneConfig):
    """Options of `randmix`."""

    scale: float = Field(default=1.0, gt=0, description="lambda: what is merged counts so much.")


class RandMix(Merging):
    """Take each weight from an independent expert drawn at random."""

    Config = RandMixConfig
    config: RandMixConfig

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns the entries of the winners of a draw, scaled."""

        def drawn(weight: str, taus: Tensor) -> Tensor:
            winner = vectors.chances(weight, taus).argmax(dim=0, keepdim=True)
            return self.config.scale * taus.gather(0, winner).squeeze(0)

        return vectors.each(drawn)
