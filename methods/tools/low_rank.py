"""Low-rank adapters, as peft makes them, where the backbone wants them.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022, arXiv 2106.09685):
W x becomes W x + (alpha / r) B A x with W frozen (eq. 3), A random and B zero at the start.

peft is imported where it is used: planning and reports must not wait for it.
"""

from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from methods.backbones.base import Backbone
from methods.held_tensors import hold_exactly
from methods.seeds import torch_seeded

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

ADAPTER_LR = 5e-4
"""Learning rate of what begins by changing nothing and lies beside frozen weights.

Adam moves an entry by about the rate in a step. At the 1e-5 of full weights an entry of B gets to
5e-3 in 1000 steps with a cosine, at most, and B A, a sum over the rank of products with the small
entries of A, to a tenth of what the same steps can change in W itself. CLIP-LoRA (Zanella and Ben
Ayed, CVPR workshops 2024, arXiv 2405.18541) takes 2e-4, InfLoRA 5e-4, O-LoRA 1e-3,
ConDU 1e-5 to 2e-3 with a median of 1e-3.
"""


class LoraOptions(BaseModel):
    """Shape of a low-rank adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rank: int = Field(default=8, ge=1, description="Rank r of the update B A.")
    alpha: float = Field(default=16.0, gt=0, description="The update is scaled by alpha / r.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before A.")


def add_lora(backbone: Backbone, options: LoraOptions) -> None:
    """Put adapters beside the linear layers that the backbone names."""
    from peft import LoraConfig, inject_adapter_in_model

    adapter = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=backbone.adapted(),
    )
    inject_adapter_in_model(adapter, backbone)
    hold_exactly(backbone, lora_parameters(backbone))


def lora_parameters(model: nn.Module) -> list[str]:
    """Returns the names of the factors A and B."""
    return [name for name, _ in model.named_parameters() if ".lora_" in name]


def lora_layers(model: nn.Module) -> "dict[str, LoraLayer]":
    """Returns the layers with an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def draw_lora(model: nn.Module, seed: int) -> None:
    """Draw A as peft does, with B zero; torch's own generator is left as it was."""
    with torch_seeded(seed):
        for layer in lora_layers(model).values():
            layer.reset_lora_parameters("default", init_lora_weights=True)


@torch.no_grad()
def merge_lora(model: nn.Module) -> None:
    """Add every update to the weight beside it: W <- W + (alpha / r) B A, then B <- 0.

    peft's own `merge` switches an adapter off; here it is at once ready to be trained again.
    """
    for layer in lora_layers(model).values():
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        merge_factors(layer, a, b)
        b.zero_()


@torch.no_grad()
def merge_factors(layer: "LoraLayer", a: Tensor, b: Tensor) -> None:
    """Add (alpha / r) B A to the weight of a layer; the adapter that it has stays as it is.

    Args:
        layer: A linear layer with an adapter, whose alpha / r counts.
        a: [r, inputs].
        b: [outputs, r].
    """
    layer.get_base_layer().weight += (b @ a) * layer.scaling["default"]
