"""Pretrained vision-language models of both families, loaded from the hub or a local folder."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from methods.backbones.base import Backbone, Family
from methods.backbones.consistency import check_end_token, check_weights, load_part
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.fusion import Answer, Fusion
from methods.backbones.text_reader import TextReader

FAMILIES: Mapping[Family, type[Backbone]] = {"dual-encoder": DualEncoder, "fusion": Fusion}
"""The classes of backbones, by family."""


def load_backbone(
    path_or_id: str,
    revision: str | None = None,
    family: Family | None = None,
    dtype: torch.dtype = torch.float32,
    answer: Answer = "score",
) -> Backbone:
    """Returns a pretrained model as a backbone, on the CPU.

    Hub ids and local folders go the same way; HF_HUB_OFFLINE=1 keeps to what is cached. Images
    always go through Pillow, so that pixels are the same whether torchvision is installed or not.

    Args:
        path_or_id: A local folder or a Hugging Face id.
        revision: Branch, tag or commit on the hub.
        family: Overrides what the configuration says, for models that could be both.
        dtype: Type of the weights.
        answer: How fusion backbones answer: the likeliest choice, or greedy text.

    Raises:
        ValueError: the model cannot be loaded, or is of neither family.
    """
    where: dict[str, Any] = {"revision": revision or "main"}
    config = _config(path_or_id, where)
    family = family or _family(config, path_or_id)
    images = load_part(AutoImageProcessor, path_or_id, backend="pil", **where)
    if family == "dual-encoder":
        model, tokenizer = (
            _weights(AutoModel, path_or_id, dtype, where),
            _tokenizer(path_or_id, where),
        )
        check_end_token(model, tokenizer, path_or_id)
        return DualEncoder(model, tokenizer, images)
    processor = load_part(AutoProcessor, path_or_id, **where)
    processor.image_processor = images
    model = _weights(AutoModelForImageTextToText, path_or_id, dtype, where)
    return Fusion(model, processor, answer)


def load_text_reader(
    path_or_id: str, revision: str | None = None, family: Family | None = None
) -> TextReader:
    """Returns what a backbone reads texts with, without its weights.

    Args:
        path_or_id: A local folder or a Hugging Face id.
        revision: Branch, tag or commit on the hub.
        family: Overrides what the configuration says.

    Raises:
        ValueError: it cannot be loaded, or is of neither family.
    """
    where: dict[str, Any] = {"revision": revision or "main"}
    config = _config(path_or_id, where)
    family = family or _family(config, path_or_id)
    return TextReader(_tokenizer(path_or_id, where), config, family)


def _config(path_or_id: str, where: dict[str, Any]) -> Any:
    try:
        return AutoConfig.from_pretrained(path_or_id, **where)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Backbone '{path_or_id}' is neither a local folder with a model in it nor a Hugging "
            f"Face id that can be loaded: {str(error).splitlines()[0]}"
        ) from error


def _tokenizer(path_or_id: str, where: dict[str, Any]) -> Any:
    tokenizer = load_part(AutoTokenizer, path_or_id, **where)
    # Where there are no files, transformers makes one that knows no word.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ValueError(
            f"Backbone '{path_or_id}' has no tokenizer: files such as tokenizer.json are missing"
        )
    return tokenizer


def _family(config: Any, path_or_id: str) -> Family:
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return "fusion"
    model = MODEL_MAPPING.get(type(config), None)
    if hasattr(model, "get_image_features") and hasattr(model, "get_text_features"):
        return "dual-encoder"
    raise ValueError(
        f"Backbone '{path_or_id}' is a {config.model_type} model; allowed are dual encoders (such "
        "as clip, siglip) and image-text-to-text models (such as llava, paligemma)."
    )


def _weights(auto: Any, path_or_id: str, dtype: torch.dtype, where: dict[str, Any]) -> Any:
    # Other shapes are let through here, because transformers refuses them without naming any.
    options = {"dtype": dtype, "output_loading_info": True, "ignore_mismatched_sizes": True}
    model, loaded = load_part(auto, path_or_id, **options, **where)
    check_weights(model, loaded, path_or_id)
    return model
