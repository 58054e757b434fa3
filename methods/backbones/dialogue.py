"""Questions and answers as the tokens that a fusion model was trained on."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from methods.data import Batch

CAPTION_REQUEST = "Describe the image."

IGNORED = -100
"""Marks places after the end of an answer."""

_KEPT_PROMPTS = 4096
_ANSWER = "answer"
"""Stands for an answer where it is looked what a chat template writes after one."""


class Dialogue:
    """Tokenises both sides of a question about one image.

    The question is put in the model's own chat template, or as its family does where there is none.
    The answer is tokenised on its own and followed by the token that ends one: what the chat
    template writes after an answer (Gemma 3's `<end_of_turn>`), or the tokenizer's end token.
    """

    def __init__(
        self,
        processor: Any,
        resolution: tuple[int, int],
        plain: str | None,
        per_token: Sequence[str] = ("input_ids",),
    ) -> None:
        """Use a model's processor.

        Args:
            processor: As AutoProcessor gives it.
            resolution: Height and width of the model's images.
            plain: How a question is put where there is no chat template; None: there has to be one.
            per_token: The arguments with one value per token that the model takes.

        Raises:
            ValueError: there is no chat template where there has to be one.
        """
        if plain is None and not processor.chat_template:
            raise ValueError(
                "it has no chat template, which says how its family is asked: there is no "
                "chat_template.jinja or chat_template.json in it"
            )
        self.processor = processor
        self.plain = plain
        self.per_token = per_token
        height, width = resolution
        # Processors count the tokens of an image themselves, so they must be shown one.
        self._blank = Image.new("RGB", (width, height))
        self.end = self._end()
        """The token that ends an answer."""
        self._prompts: dict[str, dict[str, Tensor]] = {}
        self._choices: dict[tuple[str, ...], Tensor] = {}

    def prompts(self, questions: Sequence[str]) -> dict[str, Tensor]:
        """Returns model arguments with places for image tokens, padded on the left: [B, P]."""
        prompts = [self._prompt(question) for question in questions]
        return {
            key: pad_sequence(
                [prompt[key] for prompt in prompts], batch_first=True, padding_side="left"
            )
            for key in prompts[0]
        }

    def answers(self, texts: Sequence[str]) -> Tensor:
        """Returns tokens of each text and the end token, then IGNORED: int64 [N, A], CPU."""
        tokenizer = self.processor.tokenizer
        tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        rows = [torch.tensor([*ids, self.end]) for ids in tokens]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORED)

    def choices(self, texts: tuple[str, ...]) -> Tensor:
        """Returns the same for the choices of a task, which come again and again."""
        if texts not in self._choices:
            self._choices[texts] = self.answers(texts)
        return self._choices[texts]

    def right(self, batch: Batch) -> Tensor:
        """Returns what is to be written to every sample: int64 [B, 1, A], on the CPU."""
        if batch.texts is not None:
            return self.answers(batch.targets).unsqueeze(1)
        return self.choices(batch.task.choices)[batch.labels.cpu()].unsqueeze(1)

    def offered(self, batch: Batch) -> Tensor:
        """Returns tokens of the choices: int64 [C, A], or those of every sample, [B, C, A]."""
        if batch.texts is None:
            return self.choices(batch.task.choices)
        most = max(map(len, batch.texts))
        rows = self.answers([choice for own in batch.texts for choice in own])
        parts = torch.split(rows, [len(own) for own in batch.texts])
        return torch.stack([pad(p, (0, 0, 0, most - len(p)), value=IGNORED) for p in parts])

    def _prompt(self, question: str) -> dict[str, Tensor]:
        if question not in self._prompts:
            if len(self._prompts) >= _KEPT_PROMPTS:
                self._prompts.clear()
            encoded = self._encode(question)
            self._prompts[question] = {
                key: encoded[key][0] for key in self.per_token if key in encoded
            }
        return self._prompts[question]

    def _encode(self, question: str) -> Any:
        if not self.processor.chat_template:
            text = str(self.plain).format(image=self.processor.image_token, question=question)
            return self.processor(images=self._blank, text=text, return_tensors="pt")
        return self.processor.apply_chat_template(
            [self._asked(question)],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )

    def _asked(self, question: str) -> dict[str, Any]:
        content = [{"type": "image", "image": self._blank}, {"type": "text", "text": question}]
        return {"role": "user", "content": content}

    def _end(self) -> int:
        tokenizer = self.processor.tokenizer
        usual: int = tokenizer.eos_token_id
        if not self.processor.chat_template:
            return usual
        answered = {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]}
        text = self.processor.apply_chat_template([self._asked("?"), answered], tokenize=False)
        _, found, after = text.rpartition(_ANSWER)
        ids = tokenizer(after.strip(), add_special_tokens=False)["input_ids"] if found else []
        added = tokenizer.added_tokens_decoder
        return ids[0] if ids and ids[0] in added and added[ids[0]].special else usual


def questions(batch: Batch) -> Sequence[str]:
    """Returns what every sample is asked."""
    asked = batch.task.question or (CAPTION_REQUEST if batch.task.kind == "pairs" else "")
    return batch.questions or [asked] * len(batch)


def spelling(text: str) -> str:
    """Returns what of a text counts when a greedy answer is compared with the choices.

    >>> spelling("Hot  Dog") == spelling("hotdog")
    True
    """
    return "".join(text.lower().split())
