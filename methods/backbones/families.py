"""Which families of models are supported, and what is particular to each.

A family is here once `tests/methods/test_backbone_families.py` holds for it: its scores are those
of transformers, its training lowers the loss and resumes exactly. A new one is an entry here and a
tiny model there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
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


def _of_blip(model: Any) -> Tensor:
    """Returns the scale at which BLIP's training began (Li et al., arXiv 2201.12086, its code).

    It was learnt from there, but transformers' files of the model do not hold it.
    """
    return torch.tensor(1 / 0.07, device=model.device)


def _pooled_images(model: Any, **images: Tensor) -> Tensor:
    features: Tensor = model.get_image_features(**images).pooler_output
    return features


def _pooled_texts(model: Any, **tokens: Tensor) -> Tensor:
    features: Tensor = model.get_text_features(**tokens).pooler_output
    return features


def _blip_images(model: Any, **images: Tensor) -> Tensor:
    features: Tensor = model.vision_proj(model.vision_model(**images)[0][:, 0])
    return features


def _blip_texts(model: Any, **tokens: Tensor) -> Tensor:
    features: Tensor = model.text_proj(model.text_encoder(**tokens)[0][:, 0])
    return features


@dataclass(frozen=True)
class DualEncoderFamily:
    """What is particular to a family of dual encoders."""

    scale: Callable[[Any], Tensor] = _exponential
    """Returns what its model multiplies cosines by, a float32 scalar."""
    fills_texts: bool = False
    """Whether its text tower was trained on texts padded to full length, without a mask."""
    model_class: str = "AutoModel"
    """The class of transformers that loads it; of the others of its `model_type` none is a dual
    encoder."""
    images: Callable[..., Tensor] = _pooled_images
    """Returns what its model makes of what its image processor gives: [B, D]."""
    texts: Callable[..., Tensor] = _pooled_texts
    """Returns what its model makes of tokens: [N, D]."""
    text_tower: str = "text_model"
    """Where its model keeps the text tower."""
    idle: tuple[str, ...] = ()
    """Parts of its model that neither images nor texts go through."""

    def is_idle(self, name: str) -> bool:
        """Returns whether a parameter or a layer belongs to one of the idle parts."""
        return not set(self.idle).isdisjoint(name.split("."))


DUAL_ENCODERS: Mapping[str, DualEncoderFamily] = {
    "aimv2": DualEncoderFamily(scale=_bounded),
    "align": DualEncoderFamily(scale=_inverse_temperature),
    "altclip": DualEncoderFamily(),
    "blip": DualEncoderFamily(
        scale=_of_blip,
        model_class="BlipForImageTextRetrieval",
        images=_blip_images,
        texts=_blip_texts,
        text_tower="text_encoder",
        idle=("crossattention", "itm_head"),
    ),
    "chinese_clip": DualEncoderFamily(),
    "clip": DualEncoderFamily(),
    "clipseg": DualEncoderFamily(),
    "metaclip_2": DualEncoderFamily(),
    "siglip": DualEncoderFamily(fills_texts=True),
    "vision-text-dual-encoder": DualEncoderFamily(),
}
"""Dual encoders by `model_type` of their configuration."""


@dataclass(frozen=True)
class FusionFamily:
    """What is particular to a family of fusion models."""

    plain: str | None = None
    """How a question is put to a model that has no chat template; None: it has to have one."""
    any_size: bool = False
    """Whether its processor takes images of any size, and makes tiles or grids of them."""


FUSION_MODELS: Mapping[str, FusionFamily] = {
    "gemma3": FusionFamily("{image}{question}"),
    "idefics2": FusionFamily(any_size=True),
    "idefics3": FusionFamily(any_size=True),
    "internvl": FusionFamily(any_size=True),
    "llava": FusionFamily("{image}\n{question}\n"),
    "llava_next": FusionFamily(any_size=True),
    "llava_onevision": FusionFamily(any_size=True),
    "paligemma": FusionFamily("{image}{question}"),
    "qwen2_5_vl": FusionFamily(any_size=True),
    "qwen2_vl": FusionFamily(any_size=True),
    "qwen3_vl": FusionFamily(any_size=True),
    "smolvlm": FusionFamily(any_size=True),
}
"""Fusion models by `model_type` of their configuration."""

_INSTEAD = {
    "blip": "of BLIP those of class BlipForImageTextRetrieval",
    "siglip2": "of SigLIP 2 those of one resolution, which are siglip models",
}
"""What is supported of families that are not."""


def family_of(config: Mapping[str, Any], path_or_id: str) -> Family:
    """Returns the family of a model by its config.json.

    Raises:
        ValueError: it is of no family that is supported.
    """
    kind = config.get("model_type")
    dual = DUAL_ENCODERS.get(str(kind))
    if dual and dual.model_class in ("AutoModel", *(config.get("architectures") or ())):
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


def room_beside(context: int, config: Any, tokenizer: Any) -> int:
    """Returns the most tokens of a text beside a learnt context of so many.

    Raises:
        ValueError: there is none for words, since a text has special tokens too.
    """
    whole, special = room_for_texts(config, tokenizer), tokenizer.num_special_tokens_to_add()
    if context and context >= whole - special:
        raise ValueError(
            f"a context of {context} tokens leaves no words any room in a text tower that takes "
            f"{whole}, {special} of them special; at most {whole - special - 1} are possible"
        )
    return whole - context
