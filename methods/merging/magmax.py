"""MagMax of independent experts: per weight, the largest change wins.

Marczak et al., "MagMax: Leveraging Model Merging for Seamless Continual Learning" (ECCV 2024, arXiv
2407.06322), section 3: per entry

    tau = tau_t with t = argmax_t |tau_t|,   theta = theta_0 + lambda tau,   lambda = 0.5.

The paper fine-tunes sequentially, which is `magmax_seq`; independent experts are its ablation.

Left open there and decided here: of two changes of equal size and opposite sign the positive one
wins (in the authors' code the later one), so that the order never matters.
"""

from pydantic import Field
from torch import Tensor

from methods.baselines.finetune import FineTuneConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors


class MagMaxConfig(FineTuneConfig):
    """Options of `magmax` and `magmax_seq`."""

    scale: float = Field(default=0.5, gt=0, description="lambda: what is merged counts so much.")


class MagMax(Merging):
    """Take each weight's largest change of all independent experts."""

    Config = MagMaxConfig
    config: MagMaxConfig

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns the entries of largest magnitude, scaled."""
        return vectors.each(lambda _, taus: self.config.scale * largest(taus))


def largest(vectors: Tensor) -> Tensor:
    """Returns the largest entries in magnitude over rows of [T, ...]; of two, the positive."""
    highest, lowest = vectors.amax(dim=0), vectors.amin(dim=0)
    return highest.where(highest >= -lowest, lowest)
