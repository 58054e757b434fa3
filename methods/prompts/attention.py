"""A hook into the attention of a transformers model, which asks each layer for prompts.

transformers lets the attention of a model be chosen by name (its AttentionInterface, which CLIP,
SigLIP, Llama, Gemma and all newer models go through). The one registered here calls `prompted` of a
layer that has such an attribute; what it computes is left to transformers' own sdpa function.

Not documented as public, checked with transformers 5.24, and used in this file alone:
`sdpa_attention_forward`, `sdpa_mask` and `config._attn_implementation`.
tests/methods/test_private_interfaces.py fails when one of them changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.backbones.base import Backbone

_NAME = "prompted"
"""Of this attention among those that transformers knows."""


@dataclass(frozen=True)
class Attention:
    """One call of a layer's attention: queries [B, H, L, d], keys and values [B, H', K, d]."""

    layer: Any
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    options: Mapping[str, Any]

    def own(self) -> Tensor:
        """Returns what the layer gives without prompts: [B, L, H, d]."""
        return self._attend(self.key, self.value, self.mask, self.options)

    def over(self, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns what the queries find elsewhere, all of it without a mask: [B, L, H, d]."""
        return self._attend(keys, values, mask, {**self.options, "is_causal": False})

    def visible(self) -> Tensor | None:
        """Returns the layer's mask, written out where it is left to the option `is_causal`."""
        causal = self.options.get("is_causal", getattr(self.layer, "is_causal", False))
        tokens = self.query.shape[2]
        if self.mask is not None or not causal or tokens == 1:
            return self.mask
        return torch.ones(tokens, tokens, dtype=torch.bool, device=self.query.device).tril()

    def _attend(
        self, key: Tensor, value: Tensor, mask: Tensor | None, options: Mapping[str, Any]
    ) -> Tensor:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: Tensor
        found, _ = sdpa_attention_forward(self.layer, self.query, key, value, mask, **options)
        return found


def look_for_prompts(backbone: Backbone, layers: Iterable[str]) -> None:
    """Let the attention of all layers be the one that asks for prompts.

    Raises:
        ValueError: the attention of one of `layers` cannot be chosen by name.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _attend)
    # Without a mask function of the same name, models would build no mask for this attention.
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model: Any = backbone.model
    model.set_attn_implementation(_NAME)
    for name in layers:
        layer: Any = backbone.get_submodule(name)
        if layer.config._attn_implementation != _NAME:
            raise ValueError(
                f"{type(layer).__name__} cannot be prompted: its attention does not go through the "
                "AttentionInterface of transformers."
            )


def _attend(
    layer: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # which some models name
    **options: Any,
) -> tuple[Tensor, None]:
    call = Attention(layer, query, key, value, attention_mask, options)
    prompted = getattr(layer, "prompted", None)
    return (prompted(call) if prompted else call.own()), None
