"""O-LoRA: the adapter of every task lives in a subspace of its own.

Wang et al., "Orthogonal Subspace Learning for Language Model Continual Learning" (Findings of EMNLP
2023, arXiv 2310.14152). The rows of A_i span the directions in which task i moves a layer. A new
pair (A_t, B_t) is trained for every task, those before stay in force and frozen, and

    loss = task loss + lambda_1 sum_layers sum_{i < t} |A_i A_t^T|_1

(eq. 8, where the sum runs over the magnitudes of all entries; so it is in the authors' code). The
code adds lambda_2 times the sum of the lengths of A_t and B_t. Its defaults are rank 8,
lambda_1 = 0.5, lambda_2 = 0, and other values of both for some positions in the order: here they
are the same for all tasks.

Earlier pairs are merged into the weights, as section 3.3 says one may: that is the same function.
peft's LoRA gives the adapter itself. Its `init_lora_weights="olora"` is another method of nearly
the same name, an orthonormal start for a single adapter, and knows nothing of earlier tasks.

State: that of merged_lora.py, in which the A of all earlier tasks are.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.adapters.merged_lora import MergedLora, MergedLoraConfig
from methods.base import State, part_of
from methods.data import Batch, Stage
from methods.tools.low_rank import lora_layers
from methods.tools.tensor_lists import norms


class OLoraConfig(MergedLoraConfig):
    """Options of `o_lora`."""

    lr: float | None = Field(
        default=1e-3,
        gt=0,
        description="Learning rate of the adapter, as in the authors' code; null: the study's.",
    )
    orthogonality: float = Field(
        default=0.5, ge=0, description="lambda_1: weight of the overlap with earlier adapters."
    )
    shrinkage: float = Field(
        default=0.0, ge=0, description="lambda_2: weight of the lengths of A and B."
    )


class OLora(MergedLora):
    """Train an adapter per task, with rows of A orthogonal to those of earlier ones."""

    Config = OLoraConfig
    config: OLoraConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Look up the factors; no earlier task has any."""
        super().build()
        self.factors = {
            name: (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
            for name, layer in lora_layers(self).items()
        }
        self.earlier: State = {}

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss, and what keeps the adapter small and out of the way."""
        lengths = norms([factor for pair in self.factors.values() for factor in pair])
        return (
            super().loss(batch)
            + self.config.orthogonality * self.overlap()
            + self.config.shrinkage * lengths.sum()
        )

    def overlap(self) -> Tensor:
        """Returns the sum of |A_i A_t^T| over all layers, earlier tasks and entries."""
        parts = [
            (rows @ self.factors[layer][0].T).abs().sum() for layer, rows in self.earlier.items()
        ]
        return torch.stack(parts).sum() if parts else torch.zeros(())

    def after_task(self, stage: Stage) -> None:
        """Merge, and join the task's directions to the earlier ones."""
        super().after_task(stage)
        self._look_back()

    def load_extra_state(self, state: State) -> None:
        """Return to the weights and directions of an earlier moment."""
        super().load_extra_state(state)
        self._look_back()

    def _look_back(self) -> None:
        """Find the rows of all earlier A: [(t - 1) r, inputs]."""
        self.earlier = {
            layer: rows.flatten(0, 1).to(self.backbone.device)
            for layer, rows in part_of(self.learnt, "A/").items()
        }
