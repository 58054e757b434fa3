"""Image tokens in one shape, whatever the shape in which a family's model gives and takes them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling


def encode(model: Any, inputs: Mapping[str, Tensor]) -> Any:
    """Returns what a model makes of images.

    Args:
        model: As AutoModelForImageTextToText loads it.
        inputs: What its processor makes of them; some of it is for texts only.
    """
    taken = inspect.signature(model.base_model.get_image_features).parameters
    return model.get_image_features(**{key: inputs[key] for key in inputs if key in taken})


def tokens_of(encoded: Any, images: int, width: int) -> Tensor:
    """Returns the tokens of so many images: [B, T, D].

    Of models whose deeper layers get features of their own (Qwen3-VL) these follow in the last
    dimension: [B, T, layers * D].
    """
    layers = [encoded.pooler_output, *(getattr(encoded, "deepstack_features", None) or ())]
    tokens = [_together(layer).reshape(images, -1, width) for layer in layers]
    return torch.cat(tokens, dim=-1) if len(tokens) > 1 else tokens[0]


def encoded_of(tokens: Tensor, width: int, one_by_one: bool) -> Any:
    """Returns what `tokens_of` was given, for a model that shall not look at the images again."""
    first, *deeper = torch.split(tokens, width, dim=-1)
    encoded = BaseModelOutputWithPooling(pooler_output=list(first) if one_by_one else first)
    if deeper:
        encoded.deepstack_features = [list(layer) for layer in deeper]
    return encoded


def _together(features: Tensor | Sequence[Tensor]) -> Tensor:
    return features if isinstance(features, Tensor) else torch.cat(list(features))
