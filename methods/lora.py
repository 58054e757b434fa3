"""Sequential fine-tuning of one low-rank adapter, kept through all tasks (see adapters.py)."""

from methods.adapters import LoraOptions
from methods.base import MethodConfig
from methods.finetune import FineTune


class LoraConfig(MethodConfig, LoraOptions):
    """Options of `lora`."""


class Lora(FineTune):
    """Train a low-rank adapter beside frozen weights."""

    Config = LoraConfig
    config: LoraConfig

    @property
    def adapter(self) -> LoraOptions:
        """The one adapter."""
        return self.config
