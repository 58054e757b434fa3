"""Sequential fine-tuning of one low-rank adapter.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022, arXiv 2106.09685):
W x becomes W x + (alpha / r) B A x with W frozen (eq. 3), A random and B zero at the start. One
adapter is kept through all tasks. The layers are peft's; where they go is the backbone's choice
(attention and MLP projections).
"""

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from pydantic import Field

from methods.base import MethodConfig
from methods.finetune import FineTune


class LoraMethodConfig(MethodConfig):
    """Options of `lora`."""

    rank: int = Field(default=8, ge=1, description="Rank r of the update B A.")
    alpha: float = Field(default=16.0, gt=0, description="The update is scaled by alpha / r.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before A.")


class Lora(FineTune):
    """Train B A beside frozen weights."""

    Config = LoraMethodConfig
    config: LoraMethodConfig

    def build(self) -> None:
        """Put adapters beside the linear layers that the backbone names."""
        adapter = LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            lora_dropout=self.config.dropout,
            target_modules=self.backbone.adapted(),
        )
        inject_adapter_in_model(adapter, self.backbone)

    def trainable(self) -> list[str]:
        """The factors A and B."""
        return [name for name, _ in self.named_parameters() if ".lora_" in name]

    def reset(self, seed: int) -> None:
        """A as peft draws it, B zero."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for module in self.modules():
                if isinstance(module, LoraLayer):
                    module.reset_lora_parameters("default", init_lora_weights=True)
