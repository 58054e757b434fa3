"""Reads texts as a backbone does, without its weights."""

import unicodedata
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from methods.backbones.base import Family
from methods.backbones.dialogue import spelling
from methods.backbones.families import room_beside
from methods.backbones.fusion import Answer
from methods.data import Task


class TextReader:
    """Tells which choices of a task are the same to a backbone."""

    def __init__(self, tokenizer: Any, config: Any, family: Family) -> None:
        """Use a model's tokenizer and configuration."""
        self.tokenizer = tokenizer
        self.config = config
        self.family = family

    def room(self, context: int = 0) -> int:
        """Returns the most tokens of a dual encoder's prompt, beside a learnt context of so many.

        Raises:
            ValueError: the context leaves none for words.
        """
        return room_beside(context, self.config, self.tokenizer)

    def same(
        self, task: Task, answer: Answer = "score", context: int = 0
    ) -> tuple[str, str, str] | None:
        """Returns two choices that the backbone cannot tell apart, and why; None: there are none.

        A dual encoder is trained with the first template, so this has to tell them apart.

        Args:
            task: Has the choices.
            answer: How a fusion model answers.
            context: Places that learnt tokens take from the texts of a dual encoder.
        """
        if not task.choices:
            return None
        texts = task.prompts() if self.family == "dual-encoder" else list(task.choices)
        tokens = self._tokens(texts, context)
        readings: dict[tuple[int, ...], int] = {}
        for i, ids in enumerate(tokens):
            first = readings.setdefault(ids, i)
            if first != i:
                return (
                    task.choices[first],
                    task.choices[i],
                    self._why(texts[first], texts[i], ids, context),
                )
        if self.family == "fusion" and answer == "generate":
            return _spelt_alike(task)
        return None

    def _tokens(self, texts: Sequence[str], context: int) -> list[tuple[int, ...]]:
        if self.family == "fusion":
            ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        else:
            room = self.room(context)
            ids = self.tokenizer(list(texts), truncation=True, max_length=room)["input_ids"]
        return [tuple(row) for row in ids]

    def _why(self, one: str, other: str, ids: tuple[int, ...], context: int) -> str:
        if self.family == "dual-encoder" and len(ids) == (room := self.room(context)):
            return f"their prompts are cut at {room} tokens"
        unknown, end = self.tokenizer.unk_token_id, self.tokenizer.eos_token_id
        if unknown in ids and unknown != end:  # CLIP's end token stands for both
            return "it does not know the words"
        if one.casefold() == other.casefold():
            return "it does not read upper and lower case apart"
        return "its tokenizer makes the same tokens of them"


def _spelt_alike(task: Task) -> tuple[str, str, str] | None:
    for one, other in combinations(task.choices, 2):
        if spelling(one) == spelling(other):
            return one, other, "case and white space of generated answers do not count"
    return None


def same_text(choices: Sequence[str]) -> tuple[str, str] | None:
    """Returns two choices that are the same text, written in two ways; None: there are none.

    >>> same_text(["a_b", "a  b", "A b"])
    ('a_b', 'a  b')
    """
    texts: dict[str, str] = {}
    for choice in choices:
        text = " ".join(unicodedata.normalize("NFC", choice.replace("_", " ")).split())
        if text in texts:
            return texts[text], choice
        texts[text] = choice
    return None
