"""Makes sure that the files of a model belong together, and says in one sentence if they do not."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError
from torch import nn

_RAISED = (
    *(OSError, ValueError, TypeError, AttributeError, RuntimeError, LookupError, ImportError),
    *(SafetensorError, UnpicklingError),
)
"""What transformers raises for files that are missing, damaged or of another kind."""
_EXTRA = "'task-order-sweep[models]'"
_PACKAGES = {
    "sentencepiece": ("sentencepiece", _EXTRA),
    "protobuf": ("google.protobuf", _EXTRA),
    "tiktoken": ("tiktoken", "tiktoken"),
    "torchvision": ("torchvision", "torchvision"),
    "num2words": ("num2words", _EXTRA),
}
"""Packages that only some models need, with the module that each brings and what to install."""
_BY_HIGHEST_TOKEN = 2
"""The end token by which transformers knows CLIP models whose configuration names a wrong one."""
_LOOK_FOR_END = {
    "aimv2_text_model": None,
    "clip_text_model": _BY_HIGHEST_TOKEN,
    "clipseg_text_model": _BY_HIGHEST_TOKEN,
    "metaclip_2_text_model": None,
}
"""Text towers that look for the end of a text, and which end token means the highest one."""
_NUMBER = re.compile(r"\d+")


def load_part(auto: Any, path_or_id: str, **options: Any) -> Any:
    """Returns what `auto.from_pretrained` loads.

    Raises:
        ValueError: it cannot be loaded; in one sentence, whatever transformers raised.
    """
    try:
        return auto.from_pretrained(path_or_id, **options)
    except _RAISED as error:
        reason = _missing_package(str(error)) or first_line(error)
        raise ValueError(f"Backbone '{path_or_id}' cannot be loaded: {reason}.") from error


def first_line(error: Exception) -> str:
    """Returns what an error says first, to be part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removesuffix(".")


def _missing_package(message: str) -> str | None:
    """Returns what to install, where an error is about a package that is not there."""
    for package, (module, wanted) in _PACKAGES.items():
        is_named = re.search(rf"\b({package}|{module})\b", message, re.IGNORECASE)
        if is_named and not _is_installed(module):
            return f"it needs the package {package}; install it with `pip install {wanted}`"
    return None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it would be a part of
        return False


def check_weights(model: nn.Module, loaded: Mapping[str, Any], path_or_id: str) -> None:
    """Makes sure that the weights are those of the configured model, all of them.

    Weights of other parts (a head for another use) may be left over, more layers may not.

    Args:
        model: The model as it was loaded.
        loaded: What transformers says about it, its `output_loading_info`.
        path_or_id: Where it was loaded from.

    Raises:
        ValueError: weights are missing, of another shape, or of layers that the model lacks.
    """
    kind = type(model).__name__
    if missing := sorted(loaded["missing_keys"]):
        raise ValueError(
            f"Backbone '{path_or_id}' has no weights for {len(missing)} parameters of {kind}, "
            f"such as {missing[0]}."
        )
    if odd := sorted(loaded["mismatched_keys"]):
        name, found, wanted = odd[0]
        raise ValueError(
            f"Backbone '{path_or_id}' has weights of another shape than its configuration says "
            f"for {len(odd)} parameters of {kind}: {name} is {list(found)}, not {list(wanted)}."
        )
    numbered = {_NUMBER.sub("#", name) for name in model.state_dict()}
    more = sorted(n for n in loaded["unexpected_keys"] if _NUMBER.sub("#", n) in numbered)
    if more:
        raise ValueError(
            f"Backbone '{path_or_id}' has weights of more layers than its configuration says, "
            f"such as {more[0]}; correct its config.json."
        )


def check_end_token(config: Any, tokenizer: Any, path_or_id: str) -> None:
    """Makes sure that a text tower takes the meaning of a text where the text ends.

    CLIP takes it at the token `eos_token_id` of its configuration, or at the highest token if that
    is 2 (as its published configurations say; of MetaCLIP 2 that is the right one). Where a text
    has no such token, transformers takes it at the first one, which is the same for all texts.

    Args:
        config: Of the text tower.
        tokenizer: Of the model.
        path_or_id: Where both are from.

    Raises:
        ValueError: tokenizer and configuration do not fit together.
    """
    if config.model_type not in _LOOK_FOR_END:
        return
    end, last = config.eos_token_id, tokenizer("a")["input_ids"][-1]
    by_highest = end == _LOOK_FOR_END[config.model_type]
    if last != (max(tokenizer.get_vocab().values()) if by_highest else end):
        raise ValueError(
            f"Backbone '{path_or_id}': its tokenizer ends texts with token {last}, but its "
            f"text tower would look for another (text_config.eos_token_id is {end}); give the "
            f"tokenizer's files and the config.json of one model."
        )
