"""Which families of models are supported, and what is particular to each.

A family is here once `tests/methods/test_backbone_families.py` holds for it: its scores are those
of transformers, its training lowers the loss and resumes exactly. A new one is an entry here and a
tiny model there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from methods.backbones.base import Family


def _exponential(model: Any) -> Tensor:
    scale: Tensor = model.logit_scale.float().exp()
    return scale


def _bounded(model: Any) -> Tensor:
    scale: Tensor = model.logit_scale.float().clamp(0, model.max_log_logit_scale).exp()
    return scale


def _inverse_temperature(model: Any) -> Tensor:
    scale: Tensor = 1 / model.temperature.float()
    return scale


@dataclass(frozen=True)
class DualEncoderFamily:
    """What is particular to a family of dual encoders."""

    scale: Callable[[Any], Tensor] = _exponential
    """Returns what its model multiplies cosines by, a float32 scalar."""
    fills_texts: bool = False
    """Whether its text tower was trained on texts padded to full length, without a mask."""


DUAL_ENCODERS: Mapping[str, DualEncoderFamily] = {
    "aimv2": DualEncoderFamily(scale=_bounded),
    "align": DualEncoderFamily(scale=_inverse_temperature),
    "altclip": DualEncoderFamily(),
    "chinese_clip": DualEncoderFamily(),
    "clip": DualEncoderFamily(),
    "clipseg": DualEncoderFamily(),
    "metaclip_2": DualEncoderFamily(),
    "siglip": DualEncoderFamily(fills_texts=True),
    "vision-text-dual-encoder": DualEncoderFamily(),
}
"""Dual encoders by `model_type` of their configuration."""

FUSION_MODELS: Mapping[str, str] = {
    "gemma3": "{image}{question}",
    "llava": "{image}\n{question}\n",
    "paligemma": "{image}{question}",
}
"""Fusion models by `model_type`, and how a question is put to one that has no chat template."""

_INSTEAD = {
    "siglip2": "of SigLIP 2 those of one resolution, which are siglip models",
}
"""What is supported of families that are not."""


def family_of(config: Mapping[str, Any], path_or_id: str) -> Family:
    """Returns the family of a model by its config.json.

    Raises:
        ValueError: it is of no family that is supported.
    """
    kind = config.get("model_type")
    if kind in DUAL_ENCODERS:
        return "dual-encoder"
    if kind in FUSION_MODELS:
        return "fusion"
    what = f"is a {kind} model" if kind else "names no model_type in its config.json"
    if "auto_map" in config:
        what += " that needs code of its own repository, which is never run"
    instead = f", {_INSTEAD[kind]}" if kind in _INSTEAD else ""
    raise ValueError(
        f"Backbone '{path_or_id}' {what}; allowed are dual encoders ({', '.join(DUAL_ENCODERS)})"
        f"{instead}, and fusion models ({', '.join(FUSION_MODELS)})."
    )


_COUNTS_FROM_PAD = frozenset(
    {"altclip_text_model", "camembert", "roberta", "xlm-roberta", "xlm-roberta-xl"}
)
"""Text towers whose positions begin after the number of the padding token."""


def room_for_texts(config: Any, tokenizer: Any) -> int:
    """Returns the most tokens of a text that a dual encoder takes, and its tokenizer makes."""
    text = config.text_config
    positions: int = text.max_position_embeddings
    if text.model_type in _COUNTS_FROM_PAD:
        positions -= text.pad_token_id + 1
    return min(positions, int(tokenizer.model_max_length))
