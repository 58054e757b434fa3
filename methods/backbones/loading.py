"""Pretrained vision-language models of both families, loaded from the hub or a local folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedConfig,
)

from methods.backbones.base import Backbone, Family
from methods.backbones.consistency import (
    check_end_token,
    check_weights,
    first_line,
    load_part,
)
from methods.backbones.dialogue import Dialogue
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.families import DUAL_ENCODERS, FUSION_MODELS, family_of
from methods.backbones.fusion import Answer, Fusion
from methods.backbones.images import ImagePreprocessor
from methods.backbones.multimodal.any_size import preprocessor_of
from methods.backbones.multimodal.stills import processor_class
from methods.backbones.pretrained import SAMPLE, PretrainedBackbone
from methods.backbones.text_reader import TextReader
from methods.backbones.weight_files import check_weight_files

FAMILIES: Mapping[Family, type[Backbone]] = {"dual-encoder": DualEncoder, "fusion": Fusion}
"""The classes of backbones, by family."""

_NO_PROCESSOR = "Can't load image processor"
"""What transformers says, among advice on names of folders, if there is no file of one."""


@dataclass(frozen=True)
class _Parts:
    """Everything of a model but its weights, which are known to be there."""

    config: Any
    family: Family
    tokenizer: Any
    image_processor: Any
    processor: Any
    """Of a fusion model, for both images and texts; of a dual encoder None."""


def load_backbone(
    path_or_id: str,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    answer: Answer = "score",
    image_size: int | None = None,
    attention: str | None = None,
) -> PretrainedBackbone:
    """Returns a pretrained model as a backbone, on the CPU.

    Hub ids and local folders go the same way; HF_HUB_OFFLINE=1 keeps to what is cached. Images
    always go through Pillow, so that pixels are the same whether torchvision is installed or not.

    Args:
        path_or_id: A local folder or a Hugging Face id.
        revision: Branch, tag or commit on the hub.
        dtype: Type of the weights. Of lower precision than single are matrices alone: vectors,
            such as norms and biases, take no room.
        answer: How fusion backbones answer: the likeliest choice, or greedy text.
        image_size: Height and width to which images are brought first, of models that take images
            of any size; None: one tile of the processor, or what is usual.
        attention: Its implementation, as transformers calls it; None: what transformers chooses.

    Raises:
        ValueError: the model cannot be loaded, or is of no family that is supported.
    """
    parts = _parts(path_or_id, revision, image_size)
    kind = _class_of(parts.config, parts.family)
    model = _weights(kind, path_or_id, dtype, revision, attention)
    return _around(model, parts, answer, image_size)


def load_text_reader(
    path_or_id: str, revision: str | None = None, image_size: int | None = None
) -> TextReader:
    """Returns what a backbone reads texts with, once all but the weights has been loaded.

    Args:
        path_or_id: A local folder or a Hugging Face id.
        revision: Branch, tag or commit on the hub.
        image_size: As `load_backbone` takes it.

    Raises:
        ValueError: the model could not be loaded, or is of no family that is supported.
    """
    parts = _parts(path_or_id, revision, image_size)
    return TextReader(parts.tokenizer, parts.config, parts.family)


def _parts(path_or_id: str, revision: str | None, image_size: int | None) -> _Parts:
    where = _where(revision)
    family = _family(path_or_id, where)
    config = load_part(AutoConfig, path_or_id, **where)
    check_weight_files(path_or_id, where["revision"])
    tokenizer = _tokenizer(path_or_id, where)
    image_processor = _image_processor(path_or_id, where)
    processor = None
    if family == "fusion":
        processor = load_part(processor_class(config), path_or_id, **where)
        processor.image_processor = image_processor
    try:
        if processor:
            traits = FUSION_MODELS[config.model_type]
            images = preprocessor_of(processor, traits, image_size)
            Dialogue(processor, images.resolution, traits.plain).prompts([SAMPLE])
        else:
            height, width = ImagePreprocessor(image_processor).resolution
            if image_size is not None:
                raise ValueError(
                    f"image_size is for fusion models whose images may have any size, and those of "
                    f"this dual encoder have {height} x {width}; leave it out"
                )
    except Exception as error:  # a processor that does not fit fails anywhere in transformers
        raise ValueError(f"Backbone '{path_or_id}': {first_line(error)}.") from error
    if family == "dual-encoder":
        check_end_token(config.text_config, tokenizer, path_or_id)
    return _Parts(config, family, tokenizer, image_processor, processor)


def _where(revision: str | None) -> dict[str, Any]:
    # Left to itself, transformers asks on the terminal whether to run a repository's code.
    return {"revision": revision or "main", "trust_remote_code": False}


def _family(path_or_id: str, where: dict[str, Any]) -> Family:
    try:
        config, _ = PreTrainedConfig.get_config_dict(path_or_id, **where)
        reason = "" if config else "there is no config.json"
    except (OSError, ValueError) as error:
        reason = first_line(error)
    if reason:
        raise ValueError(
            f"Backbone '{path_or_id}' is neither a local folder with a model in it nor a Hugging "
            f"Face id that can be loaded: {reason}."
        )
    return family_of(config, path_or_id)


def _image_processor(path_or_id: str, where: dict[str, Any]) -> Any:
    try:
        return load_part(AutoImageProcessor, path_or_id, backend="pil", **where)
    except ValueError as error:
        if _NO_PROCESSOR not in str(error):
            raise
        raise ValueError(
            f"Backbone '{path_or_id}' has no image processor: there is no processor_config.json or "
            "preprocessor_config.json in it."
        ) from error


def _tokenizer(path_or_id: str, where: dict[str, Any]) -> Any:
    tokenizer = load_part(AutoTokenizer, path_or_id, **where)
    # Where there are no files, transformers makes one that knows no word.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ValueError(
            f"Backbone '{path_or_id}' has no tokenizer: files such as tokenizer.json are missing."
        )
    return tokenizer


def _class_of(config: Any, family: Family) -> Any:
    """Returns the class of transformers that loads a model."""
    if family == "fusion":
        return AutoModelForImageTextToText
    return getattr(transformers, DUAL_ENCODERS[config.model_type].model_class)


def _weights(
    auto: Any, path_or_id: str, dtype: torch.dtype, revision: str | None, attention: str | None
) -> Any:
    # Other shapes are let through here, because transformers refuses them without naming any.
    options = {"dtype": dtype, "output_loading_info": True, "ignore_mismatched_sizes": True}
    options |= {"attn_implementation": attention} if attention else {}
    model, loaded = load_part(auto, path_or_id, **options, **_where(revision))
    check_weights(model, loaded, path_or_id)
    for weight in model.parameters():
        if weight.dim() < 2:
            weight.data = weight.data.float()
    return model


def load_without_weights(
    path_or_id: str,
    revision: str | None = None,
    answer: Answer = "score",
    image_size: int | None = None,
    attention: str | None = None,
) -> PretrainedBackbone:
    """Returns a backbone as `load_backbone` does, of tensors that have shapes and no content.

    Raises:
        ValueError: the model could not be loaded, or is of no family that is supported.
    """
    parts = _parts(path_or_id, revision, image_size)
    model = _model_without_weights(parts.config, parts.family, attention)
    return _around(model, parts, answer, image_size).to("meta")


def _around(
    model: Any, parts: _Parts, answer: Answer, image_size: int | None
) -> PretrainedBackbone:
    if parts.family == "dual-encoder":
        return DualEncoder(model, parts.tokenizer, parts.image_processor)
    return Fusion(model, parts.processor, answer, image_size)


def _model_without_weights(config: Any, family: Family, attention: str | None) -> Any:
    kind = _class_of(config, family)
    # Classes that choose among others have a public name for it.
    make = getattr(kind, "from_config", None) or kind._from_config
    chosen = {"attn_implementation": attention} if attention else {}
    with torch.device("meta"):
        return make(config, **chosen)


def check_model(
    path_or_id: str, revision: str | None, attention: str | None, checkpointing: bool
) -> None:
    """Makes sure that a model can be computed as a study wants it, without its weights.

    Args:
        path_or_id: A local folder or a Hugging Face id.
        revision: Branch, tag or commit on the hub.
        attention: Its implementation; None: any.
        checkpointing: Whether layers are computed again in the backward pass.

    Raises:
        ValueError: it cannot.
    """
    where = _where(revision)
    family = _family(path_or_id, where)
    config = load_part(AutoConfig, path_or_id, **where)
    try:
        model = _model_without_weights(config, family, attention)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"Backbone '{path_or_id}' cannot have attention {attention}: {first_line(error)}."
        ) from error
    if checkpointing and not model.supports_gradient_checkpointing:
        raise ValueError(
            f"Backbone '{path_or_id}' is a {config.model_type} model, whose layers cannot be "
            "computed again in the backward pass; leave out training.checkpointing."
        )
