"""Sequential fine-tuning: train on each task in turn and do nothing else.

The baseline that every continual-learning paper starts from, and the ground most methods stand on.
"""

from typing import Any, ClassVar

from pydantic import Field, model_validator
from torch import Tensor

from methods.backbones.base import ADAPTED, Family, Tower
from methods.base import Method, MethodConfig
from methods.data import Batch
from methods.tools.low_rank import (
    ADAPTER_LR,
    LoraOptions,
    add_lora,
    draw_lora,
    lora_parameters,
)


class FineTuneConfig(MethodConfig):
    """Options of `finetune`, and of all methods that fine-tune."""

    lora: LoraOptions | None = Field(
        default=None,
        description="Train a low-rank adapter of this shape instead of all weights, at a rate of "
        f"{ADAPTER_LR:g} unless lr says otherwise.",
    )

    @model_validator(mode="before")
    @classmethod
    def _adapters_have_a_rate_of_their_own(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "lr" in given:
            return given
        has_adapter = given.get("lora", cls.model_fields["lora"].default) is not None
        return {**given, "lr": ADAPTER_LR} if has_adapter else given


class FineTune(Method):
    """Minimise the task's own loss with all weights (but the temperature) free."""

    Config: ClassVar[type[MethodConfig]] = FineTuneConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    reads_pixels: ClassVar[bool] = False

    @property
    def adapter(self) -> LoraOptions | None:
        """The adapter that is trained instead of all weights."""
        assert isinstance(self.config, FineTuneConfig)
        return self.config.lora

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns all parts of a model, or those with layers that the adapter goes to."""
        has_adapter = isinstance(config, LoraOptions) or getattr(config, "lora", None)
        return ADAPTED if has_adapter else super().learns_in(config, family)

    def build(self) -> None:
        """Put the adapter in."""
        if self.adapter:
            add_lora(self.backbone, self.adapter)

    def trainable(self) -> list[str]:
        """Returns the adapter's weights, or those that the backbone leaves free."""
        return lora_parameters(self) if self.adapter else super().trainable()

    def reset(self, seed: int) -> None:
        """Return to the untouched backbone, with a new adapter that changes nothing yet."""
        super().reset(seed)
        if self.adapter:
            draw_lora(self, seed)

    def loss(self, batch: Batch) -> Tensor:
        """Returns the mean negative log-likelihood of the right choice."""
        return self.backbone.loss(batch).mean()
