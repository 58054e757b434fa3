"""What both families share: a transformers model with its tokenizer and image processor."""

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from methods.backbones.base import Backbone, Tower
from methods.backbones.images import ImagePreprocessor
from methods.data import Images

_LANGUAGE = ("text_model", "text_projection", "language_model", "lm_head")
SAMPLE = "Is this a sample, or the real thing?"
"""A text that shows how a model's tokenizer or processor frames one."""
_INSIDE_LAYER = re.compile(r"\.layers?\.\d+\.")


class PretrainedBackbone(Backbone):
    """A backbone around a transformers model."""

    model: Any

    def __init__(self, model: nn.Module, tokenizer: Any, image_processor: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.preprocessor = ImagePreprocessor(image_processor)
        self._fingerprint = ""

    def _identify(self, sample: Sequence[int], chat_template: str | None = None) -> None:
        """Takes the fingerprint, of what has been loaded and of the tokens of SAMPLE."""
        processor = self.preprocessor.processor
        described = [processor.to_dict(), self.tokenizer.get_vocab(), chat_template, list(sample)]
        self._fingerprint = _fingerprint(self.model, described)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights, configuration, preprocessing and framing of texts, as loaded."""
        return self._fingerprint

    def pixels(self, images: Images) -> Tensor:
        """Resize and crop as the model's own image processor does: uint8 [B, 3, H, W], CPU.

        Grey, palette and transparent pictures become RGB first.
        """
        return self.preprocessor.prepare(images)

    @cached_property
    def width(self) -> int:
        """D, as an image without content shows it."""
        blank = torch.zeros(1, 3, *self.preprocessor.resolution, dtype=torch.uint8)
        return self.query(blank.to(self.device)).shape[1]

    def tower(self, parameter: str) -> Tower:
        """Returns the part of the model that a parameter belongs to, by transformers' names.

        "vision" and "text" include their projections; "joint" is what lies between the towers:
        the temperature of a dual encoder, the projector of a fusion model.
        """
        for part in parameter.split("."):
            if part.startswith("vis"):
                return "vision"
            if part in _LANGUAGE:
                return "text"
        return "joint"

    def _attention(self, *towers: Tower) -> list[str]:
        """Returns the names of self-attention layers that have keys and values to join."""
        return [
            name
            for name, module in self.named_modules()
            if hasattr(module, "k_proj")
            and hasattr(module, "head_dim")
            and _INSIDE_LAYER.search(name + ".")
            and self.tower(name) in towers
        ]

    def _linears(self) -> list[str]:
        """Returns the names of the linear maps inside transformer layers: attention and MLP."""
        return [
            name
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear) and _INSIDE_LAYER.search(name)
        ]

    def _pixel_values(self, pixels: Tensor) -> Tensor:
        values: Tensor = self.preprocessor(pixels)
        return values.to(next(self.model.parameters()).dtype)


@torch.no_grad()
def _fingerprint(model: Any, described: Sequence[object]) -> str:
    config = model.config.to_dict()
    # Where the model was loaded from, and by which library, does not change what it is.
    for key in ("_name_or_path", "transformers_version"):
        config.pop(key, None)
    text = json.dumps([config, *described], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {list(weight.shape)}".encode())
        digest.update(weight.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
