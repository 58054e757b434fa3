"""Makes sure that the files of a model belong together, and says in one sentence if they do not."""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError
from torch import nn

_RAISED = (OSError, ValueError, RuntimeError, KeyError, SafetensorError, UnpicklingError)
"""What transformers raises for files that are missing, damaged or of another kind."""
_POINTER = b"version https://git-lfs"
"""How a file begins that stands for a large one where Git LFS has not fetched it."""
_BY_HIGHEST_TOKEN = 2
"""The end token by which transformers knows CLIP models whose configuration names a wrong one."""
_NUMBER = re.compile(r"\d+")


def load_part(auto: Any, path_or_id: str, **options: Any) -> Any:
    """Returns what `auto.from_pretrained` loads.

    Raises:
        ValueError: it cannot be loaded; in one sentence, whatever transformers raised.
    """
    try:
        return auto.from_pretrained(path_or_id, **options)
    except _RAISED as error:
        pointer = _pointer(Path(path_or_id))
        reason = (
            f"{pointer.name} is only a pointer of Git LFS; fetch the file with `git lfs pull`"
            if pointer
            else str(error).strip().splitlines()[0].removesuffix(".")
        )
        raise ValueError(f"Backbone '{path_or_id}' cannot be loaded: {reason}.") from error


def _pointer(folder: Path) -> Path | None:
    for file in sorted(folder.glob("*")) if folder.is_dir() else ():
        if file.is_file():
            with file.open("rb") as stream:
                if stream.read(len(_POINTER)) == _POINTER:
                    return file
    return None


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


def check_end_token(model: Any, tokenizer: Any, path_or_id: str) -> None:
    """Makes sure that a text tower takes the meaning of a text where the text ends.

    CLIP takes it at the token `eos_token_id` of its configuration, or at the highest token if that
    is 2. Where a text has no such token, transformers takes it at the first one, which is the same
    for all texts.

    Raises:
        ValueError: tokenizer and configuration do not fit together.
    """
    end = getattr(model.text_model, "eos_token_id", None)
    if end is None:  # it does not look for a token
        return
    last = tokenizer("a")["input_ids"][-1]
    if last != (max(tokenizer.get_vocab().values()) if end == _BY_HIGHEST_TOKEN else end):
        raise ValueError(
            f"Backbone '{path_or_id}': its tokenizer ends texts with token {last}, but its "
            f"text tower would look for another (text_config.eos_token_id is {end}); give the "
            f"tokenizer's files and the config.json of one model."
        )
