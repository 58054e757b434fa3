"""TALL masks: which entries of the sum of all experts each of them needs.

Wang et al., "Localizing Task Information for Improved Model Merging and Compression" (ICML 2024,
arXiv 2405.07813), section 4: with tau the sum of all tau_t, the entries of task t are those where
it is nearer to the merged model than to the pretrained one,

    m_t = 1[ |tau_t| > lambda |tau - tau_t| ],    theta_t = theta_0 + m_t tau.

Needs the task at test time; `consensus` is what the paper makes of the masks without it.

Left open there and decided here: the paper chooses lambda from 0.2, ..., 0.6 on validation data of
each task; here it is one number for all.
"""

import torch
from pydantic import Field
from torch import Tensor

from methods.baselines.finetune import FineTuneConfig
from methods.merging.masked import Masked, Unified, packed
from methods.merging.task_vectors import TaskVectors, Vector


class TallConfig(FineTuneConfig):
    """Options of `tall`."""

    threshold: float = Field(
        default=0.4, ge=0, description="lambda: the higher, the fewer entries a task gets."
    )


class Tall(Masked):
    """Cut the model for a known task out of the sum of all experts."""

    Config = TallConfig
    config: TallConfig

    def unify(self, vectors: TaskVectors) -> Unified:
        """Returns the sum of all task vectors, and each one's entries in it."""
        total: Vector = {}
        masks: Vector = {}
        for weight, taus in vectors.items():
            total[weight] = taus.sum(dim=0).cpu()
            masks[weight] = packed(tall_masks(taus, self.config.threshold))
        return Unified(vectors.tasks, total, masks, torch.ones(len(vectors.tasks)))


def tall_masks(vectors: Tensor, threshold: float) -> Tensor:
    """Returns which entries of the sum over rows of [T, ...] are each row's: bool [T, ...]."""
    return vectors.abs() > threshold * (vectors.sum(dim=0) - vectors).abs()
