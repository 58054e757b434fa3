"""Fusion models: image tokens are fed to a language model that writes the answer (LLaVA, ...)."""

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, pad

from methods.backbones.base import LACKING, Family
from methods.backbones.dialogue import IGNORED, Dialogue
from methods.backbones.families import FUSION_MODELS
from methods.backbones.pretrained import SAMPLE, PretrainedBackbone
from methods.data import KINDS, Batch, Kind, Task

Answer = Literal["score", "generate"]
PromptTokens = dict[str, Tensor]
"""Arguments of the model for the prompts of B samples, images included: [B, P, ...] each."""

CAPTION_REQUEST = "Describe the image."

_PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids")
_TOKENS_AT_ONCE = 16384
"""Bounds memory: every answer scored holds the keys and values of its whole prompt."""


class Fusion(PretrainedBackbone):
    """Scores a choice by the likelihood of its text after the image and the question.

    The image and the question go through the language model once and serve all choices, which are
    read after a copy of its keys and values.
    """

    family: ClassVar[Family] = "fusion"
    kinds: ClassVar[frozenset[Kind]] = frozenset(KINDS)

    def __init__(self, model: nn.Module, processor: Any, answer: Answer = "score") -> None:
        super().__init__(model, processor.tokenizer, processor.image_processor)
        self.answer = answer
        taken = inspect.signature(self.model.forward).parameters
        # transformers 5 has renamed it on the way; the old name warns where the new one is known.
        self._cache = "cache" if "cache" in taken else "past_key_values"
        per_token = [key for key in _PER_TOKEN if key in taken]
        plain = FUSION_MODELS[self.model.config.model_type]
        self.dialogue = Dialogue(processor, self.preprocessor.resolution, plain, per_token)
        stops = self.model.generation_config.eos_token_id
        own = stops if isinstance(stops, list) else [] if stops is None else [stops]
        self._ends = torch.tensor(sorted({*own, self.dialogue.end}))
        """Tokens that end a greedy answer: the model's own, and what ends answers in training."""
        prompt = self.dialogue.prompts([SAMPLE])["input_ids"][0]
        self._identify(prompt.tolist(), processor.chat_template)

    def logits(self, batch: Batch) -> Tensor:
        """Returns log-likelihoods of the choices, or logits of the tokens to write.

        Of `choices` float32 [B, C], of other kinds float32 [tokens of all samples, vocabulary].
        """
        with self._prompted(batch.pixels):
            prompts = self._prompts(batch)
            if batch.task.kind == "choices":
                return self._score(prompts, self._choices(batch))
            answers = self._right(batch)
            return self._answer_logits(prompts, answers)[answers.squeeze(1).ne(IGNORED)]

    def targets(self, batch: Batch) -> Tensor:
        """Returns the right choice of every sample, or the tokens to write one after another."""
        if batch.task.kind == "choices":
            return batch.labels
        answers = self._right(batch)
        return answers[answers.ne(IGNORED)].to(self.device)

    def rows_of_samples(self, batch: Batch) -> Tensor:
        """Returns one row per sample of `choices`, elsewhere the tokens to write to each."""
        if batch.task.kind == "choices":
            return super().rows_of_samples(batch)
        return self._right(batch).squeeze(1).ne(IGNORED).sum(dim=1)

    def loss(self, *batches: Batch) -> Tensor:
        """Returns the mean negative log-likelihood per token of what is right: float32 [B]."""
        return torch.cat([self._loss(batch) for batch in batches])

    def _loss(self, batch: Batch) -> Tensor:
        answers = self._right(batch)
        with self._prompted(batch.pixels):
            likelihoods = self._likelihoods(self._prompts(batch), answers)
        return -likelihoods.squeeze(1) / self._lengths(answers.squeeze(1))

    def _right(self, batch: Batch) -> Tensor:
        """Returns tokens of what is to be written to every sample: int64 [B, 1, A], on the CPU."""
        if batch.texts is not None:
            return self.dialogue.answers(batch.targets).unsqueeze(1)
        return self.dialogue.choices(batch.task.choices)[batch.labels.cpu()].unsqueeze(1)

    def _choices(self, batch: Batch) -> Tensor:
        """Returns tokens of the choices: int64 [C, A], or those of every sample, [B, C, A]."""
        if batch.texts is None:
            return self.dialogue.choices(batch.task.choices)
        most = max(map(len, batch.texts))
        rows = self.dialogue.answers([choice for own in batch.texts for choice in own])
        parts = torch.split(rows, [len(own) for own in batch.texts])
        return torch.stack([pad(p, (0, 0, 0, most - len(p)), value=IGNORED) for p in parts])

    def predict(self, batch: Batch) -> Tensor:
        """Returns the likeliest choice, or the choice that the greedy answer spells.

        Case and white space of greedy answers do not matter; -1 if they spell no choice.
        """
        if self.answer == "score":
            return self.logits(batch).argmax(dim=1)
        offered = batch.texts or [batch.task.choices] * len(batch)
        longest = self._choices(batch).shape[-1]
        indices = []
        for answer, choices in zip(self._generate(batch, longest), offered, strict=True):
            spelt = [spelling(choice) for choice in choices]
            indices.append(spelt.index(given) if (given := spelling(answer)) in spelt else -1)
        return torch.tensor(indices, device=self.device)

    def write(self, batch: Batch) -> list[str]:
        """Returns greedy answers, as long as the task allows."""
        return [text.strip() for text in self._generate(batch, batch.task.answer_tokens)]

    def match(self, pixels: Tensor, captions: Sequence[str]) -> Tensor:
        """Returns each caption's mean log-likelihood per token: float32 [B, N]."""
        answers = self.dialogue.answers(captions)
        with self._prompted(pixels):
            prompts = self._embed_prompts(pixels, [CAPTION_REQUEST] * len(pixels))
            return self._score(prompts, answers) / self._lengths(answers)

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Returns L2-normalised mean over the image's tokens as the language model gets them."""
        return normalize(self._image_tokens(pixels).float().mean(dim=1), dim=-1)

    def untouched(self, pixels: Tensor) -> Tensor:
        """Returns the same: prompts go to the language model."""
        return self.embed_images(pixels)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns L2-normalised mean over the text's token embeddings: float32 [N, D]."""
        embed = self.model.get_input_embeddings()
        tokens = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        means = [embed(torch.tensor(ids, device=self.device)).float().mean(dim=0) for ids in tokens]
        return normalize(torch.stack(means), dim=-1)

    def texts(self, task: Task) -> list[str]:
        """Returns the answers."""
        return list(task.choices)

    def trainable(self) -> list[str]:
        """Returns projector and language model; the vision tower stays as it is.

        So does LLaVA in its second stage: Liu et al., "Visual Instruction Tuning" (NeurIPS 2023,
        arXiv 2304.08485), section 4.2.
        """
        return [name for name, _ in self.named_parameters() if self.tower(name) != "vision"]

    def adapted(self) -> list[str]:
        """Returns attention and MLP projections of the language model."""
        return [name for name in self._linears() if self.tower(name) == "text"]

    def attention(self, reading: Literal["images", "texts"]) -> list[str]:
        """Returns self-attention of the language model, which reads both."""
        return self._attention("text")

    def token_embedding(self) -> nn.Embedding:
        """That of the language model."""
        table: nn.Embedding = self.model.get_input_embeddings()
        return table

    def _prompted(self, pixels: Tensor) -> AbstractContextManager[None]:
        return self.prompting.applied(self.route(pixels))

    def _image_tokens(self, pixels: Tensor) -> Tensor:
        """Returns projected image features: [B, T, D]."""
        output = self.model.get_image_features(pixel_values=self._pixel_values(pixels))
        features = output.pooler_output
        return features if isinstance(features, Tensor) else torch.stack(list(features))

    def _prompts(self, batch: Batch) -> PromptTokens:
        return self._embed_prompts(batch.pixels, _questions(batch))

    def _embed_prompts(self, pixels: Tensor, questions: Sequence[str]) -> PromptTokens:
        features = self._image_tokens(pixels)
        tokens = self.dialogue.prompts(questions)
        held = (tokens["input_ids"] == self.model.config.image_token_id).sum(dim=1)
        if not (held == features.shape[1]).all():
            raise ValueError(
                f"The processor's prompt holds {int(held[0])} image tokens, but the model "
                f"makes {features.shape[1]} of an image; its processor_config.json does not fit."
            )
        on_device = {key: value.to(self.device) for key, value in tokens.items()}
        with self.prompting.context_in(on_device, self.token_embedding(), start=0) as rest:
            ids = rest.pop("input_ids")
            places = (ids == self.model.config.image_token_id).unsqueeze(-1)
            # The image token itself may lie outside of the embedding table.
            embedded: Tensor = self.token_embedding()(ids.masked_fill(places.squeeze(-1), 0))
        embedded = embedded.masked_scatter(places, features.to(embedded.dtype))
        return {"inputs_embeds": embedded, **rest}

    def _score(self, prompts: PromptTokens, answers: Tensor) -> Tensor:
        """Returns the log-likelihood of answers after prompts: float32 [B, N].

        Args:
            prompts: B of them.
            answers: int64 [N, A], or every sample's own, [B, N, A]; of which there may be fewer.
        """
        count, length = prompts["attention_mask"].shape
        at_once = max(1, _TOKENS_AT_ONCE // (length + answers.shape[-1]))
        samples, rows = torch.arange(count), []
        for ids in torch.split(samples, max(1, at_once // answers.shape[-2])):
            some = {key: value[ids] for key, value in prompts.items()}
            own = answers[ids] if answers.dim() == 3 else answers.expand(len(ids), -1, -1)
            route = self.prompting.route
            with self.prompting.applied(route[ids] if route else None):
                parts = torch.split(own, at_once, dim=1)
                columns = [self._likelihoods(some, part) for part in parts]
            lacking = own[:, :, 0].eq(IGNORED).to(self.device)
            rows.append(torch.cat(columns, dim=1).masked_fill(lacking, LACKING))
        return torch.cat(rows)

    def _likelihoods(self, prompts: PromptTokens, answers: Tensor) -> Tensor:
        """Returns log-likelihood of each sample's own answers (int64 [B, N, A]): float32 [B, N]."""
        logits = self._answer_logits(prompts, answers)
        flat = answers.flatten().to(self.device)
        losses = cross_entropy(logits.flatten(0, 1), flat, ignore_index=IGNORED, reduction="none")
        return -losses.view(*answers.shape).sum(dim=2)

    def _answer_logits(self, prompts: PromptTokens, answers: Tensor) -> Tensor:
        """Returns logits of the tokens of answers (int64 [B, N, A]): float32 [B * N, A, tokens]."""
        count = answers.shape[1]
        answers = answers.flatten(0, 1).to(self.device)
        mask = prompts["attention_mask"]
        prompt = self._read_prompts(prompts)
        cache = getattr(prompt, self._cache)
        cache.batch_repeat_interleave(count)
        given = answers[:, :-1]
        seen = torch.cat([mask.repeat_interleave(count, dim=0), given.ne(IGNORED).long()], dim=1)
        answer = self.model(
            input_ids=given.clamp(min=0),
            attention_mask=seen,
            position_ids=_positions(seen)[:, mask.shape[1] :],
            **{self._cache: cache},
        )
        first = prompt.logits.repeat_interleave(count, dim=0)
        return torch.cat([first, answer.logits], dim=1).float()

    def _lengths(self, answers: Tensor) -> Tensor:
        return answers.ne(IGNORED).sum(dim=-1).to(self.device)

    @torch.no_grad()
    def _generate(self, batch: Batch, tokens: int) -> list[str]:
        """Returns greedy answers of at most so many tokens."""
        written = []
        with self._prompted(batch.pixels):
            prompts = self._prompts(batch)
            mask = prompts["attention_mask"]
            going = mask.new_ones(len(mask), dtype=torch.bool)
            # Not by `generate`, which some models do not let begin with embeddings.
            output = self._read_prompts(prompts)
            for _ in range(tokens):
                token = output.logits[:, -1].argmax(dim=1)
                going = going & ~torch.isin(token, self._ends.to(token.device))
                written.append(token.masked_fill(~going, self.dialogue.end))
                if not going.any():
                    break
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
                output = self.model(
                    input_ids=token.unsqueeze(1),
                    attention_mask=mask,
                    position_ids=_positions(mask)[:, -1:],
                    use_cache=True,
                    **{self._cache: getattr(output, self._cache)},
                )
        ids = torch.stack(written, dim=1)
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts

    def _read_prompts(self, prompts: PromptTokens) -> Any:
        return self.model(
            **prompts,
            position_ids=_positions(prompts["attention_mask"]),
            use_cache=True,
            logits_to_keep=1,
        )


def _questions(batch: Batch) -> Sequence[str]:
    asked = batch.task.question or (CAPTION_REQUEST if batch.task.kind == "pairs" else "")
    return batch.questions or [asked] * len(batch)


def _positions(mask: Tensor) -> Tensor:
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def spelling(text: str) -> str:
    """Returns what of a text counts when a greedy answer is compared with the choices.

    >>> spelling("Hot  Dog") == spelling("hotdog")
    True
    """
    return "".join(text.lower().split())
