"""Reads texts for the text tower of a dual encoder."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from methods.backbones.families import room_beside

_KEPT = 64
"""Lists of texts whose token ids are kept."""


class TextIds:
    """Makes token ids of texts, on the CPU.

    Texts that are longer than the tower are cut, and keep their end token; so are those that a
    learnt context leaves too little room for.
    """

    def __init__(self, tokenizer: Any, config: Any, fills_texts: bool) -> None:
        """Keeps what is needed to read.

        Args:
            tokenizer: Of the model.
            config: Of the model.
            fills_texts: Whether texts are filled up to the tower's length, without a mask.
        """
        self.tokenizer, self.config, self.fills_texts = tokenizer, config, fills_texts
        self._known: dict[tuple[int, tuple[str, ...]], dict[str, Tensor]] = {}

    def read(self, texts: Sequence[str], context: int, known: int) -> dict[str, Tensor]:
        """Returns token ids; evaluation asks for those of the same prompts again and again.

        Args:
            texts: What to read.
            context: Places in the tower that learnt tokens take.
            known: How many tokens the tower knows.

        Raises:
            ValueError: the context leaves no room for words, or a token is not known.
        """
        key = context, tuple(texts)
        if key not in self._known:
            if len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = self._tokenize(texts, context, known)
        return self._known[key]

    def together(self, parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Returns token ids of several tasks in one batch, the shorter ones padded."""
        length = max(part["input_ids"].shape[1] for part in parts)
        fill = {"input_ids": self.tokenizer.pad_token_id, "attention_mask": 0}
        return {
            name: torch.cat(
                [
                    pad(part[name], (0, length - part[name].shape[1]), value=fill[name])
                    for part in parts
                ]
            )
            for name in parts[0]
        }

    def _tokenize(self, texts: Sequence[str], context: int, known: int) -> dict[str, Tensor]:
        room = room_beside(context, self.config, self.tokenizer)
        tokens = self.tokenizer(
            list(texts),
            padding="max_length" if self.fills_texts else True,
            truncation=True,
            max_length=room,
            return_attention_mask=not self.fills_texts,
            return_tensors="pt",
        )
        _check_known(texts, tokens["input_ids"], known)
        return {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}


def _check_known(texts: Sequence[str], ids: Tensor, known: int) -> None:
    """On a GPU a token outside of the table would end the process without naming it."""
    for text, highest in zip(texts, ids.amax(dim=1).tolist(), strict=True):
        if highest >= known:
            raise ValueError(
                f"the tokenizer makes token {highest} of '{text}', but the text tower knows only "
                f"{known} tokens; give a tokenizer that belongs to the model."
            )
