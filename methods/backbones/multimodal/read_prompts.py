"""Prompts that a language model has read, for any number of answers to each."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class ReadPrompts:
    """B prompts that the language model has read."""

    cache: Any
    """Their keys and values."""
    logits: Tensor
    """[B, 1, tokens]: of what comes first after each."""
    mask: Tensor
    """int64 [B, P]: which tokens are no padding."""
    shift: Tensor | None = None
    """What is added to the positions of what follows: int64 [B, 1]. Images of Qwen-VL take fewer
    positions than they have tokens."""

    def cache_for(self, answers: int) -> Any:
        """Returns keys and values to put so many answers after; these here stay as they are."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        cache.batch_repeat_interleave(answers)
        return cache

    def positions(self, seen: Tensor, answers: int = 1) -> Tensor:
        """Returns the positions of what follows: int64 [B * answers, A].

        Args:
            seen: int64 [B * answers, P + A]: which tokens are no padding, with those that follow.
            answers: How many there are to each prompt.
        """
        after = plain_positions(seen)[:, self.mask.shape[1] :]
        return after if self.shift is None else after + self.shift.repeat_interleave(answers, dim=0)


def plain_positions(mask: Tensor) -> Tensor:
    """Returns positions that count the tokens that are no padding: int64, as `mask`."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)
