"""What both families share: a transformers model with its tokenizer and image processor."""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from methods.backbones.base import Backbone, Tower
from methods.backbones.images import Preprocessor
from methods.data import Images

_LANGUAGE = (
    *("text_model", "text_projection", "language_model", "lm_head"),
    *("text_encoder", "text_proj"),  # BLIP's
)
_MERGERS = frozenset({"merger", "deepstack_merger_list"})
"""Projectors of Qwen-VL, which lie within the module of the vision tower."""
SAMPLE = "Is this a sample, or the real thing?"
"""A text that shows how a model's tokenizer or processor frames one."""
_INSIDE_LAYER = re.compile(r"\.(?:layers?|blocks)\.\d+\.")


class PretrainedBackbone(Backbone):
    """A backbone around a transformers model."""

    model: Any

    def __init__(self, model: nn.Module, tokenizer: Any, preprocessor: Preprocessor) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.preprocessor = preprocessor
        self.mixes_types = any(w.dtype == torch.bfloat16 for w in model.parameters())
        """Whether some weights are kept in bf16, while those that change are not."""
        self.checkpoints = False
        """Whether layers are computed again in the backward pass."""
        self._fingerprint = ""

    def _identify(
        self, sample: Sequence[int], chat_template: str | None = None, *more: object
    ) -> None:
        """Takes the fingerprint, of what has been loaded, of the tokens of SAMPLE and of `more`."""
        processor = self.preprocessor.processor
        described = [processor.to_dict(), self.tokenizer.get_vocab(), chat_template, list(sample)]
        described += more
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

    @cached_property
    def _plain_token(self) -> int:
        """The first token that is no special one, for places that a context fills."""
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        return next(number for number in count() if number not in special)

    def with_context(
        self, tokens: dict[str, Tensor], start: int
    ) -> AbstractContextManager[dict[str, Tensor]]:
        """Inside, texts have the learnt context after their first `start` tokens."""
        return self.prompting.context_in(
            tokens, self.token_embedding(), start, plain=self._plain_token
        )

    def computing(self) -> AbstractContextManager[Any]:
        """Inside, weights of several types go together: matrices are multiplied in bf16."""
        if not self.mixes_types:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def checkpoint(self) -> None:
        """From now on compute layers again in the backward pass, instead of keeping what is inside.

        A layer is computed again with the prompts that it had.
        """
        options = {
            "use_reentrant": False,
            "context_fn": lambda: (nullcontext(), self.prompting.applied(self.prompting.route)),
        }
        # The former name is deprecated since transformers 5.24.
        enable = getattr(self.model, "activation_checkpointing_enable", None)
        (enable or self.model.gradient_checkpointing_enable)(options)
        self.checkpoints = True

    def tower(self, parameter: str) -> Tower:
        """Returns the part of the model that a parameter belongs to, by transformers' names.

        "vision" and "text" include their projections; "joint" is what lies between the towers:
        the temperature of a dual encoder, the projector of a fusion model.
        """
        parts = parameter.split(".")
        if not _MERGERS.isdisjoint(parts):
            return "joint"
        for part in parts:
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

    def _image_inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Returns what the model is given of images, in the dtype of its weights."""
        dtype = next(self.model.parameters()).dtype
        return {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in self.preprocessor.inputs(pixels).items()
        }


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
        if weight.is_meta:  # it has no content
            continue
        digest.update(weight.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
