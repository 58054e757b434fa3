"""Fusion models: image tokens are fed to a language model that writes the answer (LLaVA, ...)."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from methods.backbones.base import ADAPTED, LACKING, Family, Tower, highest, next_tokens
from methods.backbones.dialogue import CAPTION_REQUEST, IGNORED, Dialogue, questions, spelling
from methods.backbones.families import FUSION_MODELS
from methods.backbones.multimodal.any_size import PER_TOKEN, preprocessor_of
from methods.backbones.multimodal.image_tokens import encode, encoded_of, tokens_of
from methods.backbones.multimodal.read_prompts import ReadPrompts, plain_positions
from methods.backbones.pretrained import SAMPLE, PretrainedBackbone
from methods.data import KINDS, Batch, Kind, Task
from methods.kept_outputs import OnePass

Answer = Literal["score", "generate"]
PromptTokens = dict[str, Tensor]
"""Arguments of the model for the prompts of B samples, [B, P] each, and the tokens of their images,
`image_tokens` [B, T, D]."""

_TOKENS_AT_ONCE = 16384
"""Bounds memory: every answer scored holds the keys and values of its whole prompt."""


class Fusion(PretrainedBackbone):
    """Scores a choice by the likelihood of its text after the image and the question.

    The image and the question go through the language model once and serve all choices, which are
    read after a copy of its keys and values.
    """

    family: ClassVar[Family] = "fusion"
    kinds: ClassVar[frozenset[Kind]] = frozenset(KINDS)
    towers: frozenset[Tower] = frozenset({"text", "joint"})

    def __init__(
        self,
        model: Any,
        processor: Any,
        answer: Answer = "score",
        image_size: int | None = None,
    ) -> None:
        traits = FUSION_MODELS[model.config.model_type]
        super().__init__(model, processor.tokenizer, preprocessor_of(processor, traits, image_size))
        self.answer = answer
        taken = inspect.signature(self.model.forward).parameters
        # transformers 5 has renamed it on the way; the old name warns where the new one is known.
        self._cache = "cache" if "cache" in taken else "past_key_values"
        per_token = [key for key in PER_TOKEN if key in taken]
        self.dialogue = Dialogue(processor, self.preprocessor.resolution, traits.plain, per_token)
        stops = self.model.generation_config.eos_token_id
        own = stops if isinstance(stops, list) else [] if stops is None else [stops]
        self._ends = torch.tensor(sorted({*own, self.dialogue.end}))
        """Tokens that end a greedy answer: the model's own, and what ends answers in training."""
        sample = self.dialogue.prompts([SAMPLE])["input_ids"][0].tolist()
        sizes = [self.preprocessor.resolution] if traits.any_size else []
        self._identify(sample, processor.chat_template, *sizes)
        self._is_frozen = False
        self._seen: tuple[Tensor, Tensor] | None = None
        """The last pixels and their tokens: to predict and to embed a batch are two calls."""
        self._pass = OnePass()

    def logits(self, batch: Batch) -> Tensor:
        """Returns log-likelihoods of the choices, or logits of the tokens to write.

        Of `choices` float32 [B, C], of other kinds float32 [tokens of all samples, vocabulary].
        """
        return self._pass.logits(batch, self._logits)

    def _logits(self, batch: Batch) -> Tensor:
        with self._prompted(batch.pixels):
            prompts = self._prompts(batch)
            if batch.task.kind == "choices":
                return self._score(prompts, self.dialogue.offered(batch))
            answers = self.dialogue.right(batch)
            return self._after(prompts)(answers)[answers.squeeze(1).ne(IGNORED)]

    def targets(self, batch: Batch) -> Tensor:
        """Returns the right choice of every sample, or the tokens to write one after another."""
        if batch.task.kind == "choices":
            return batch.labels
        answers = self.dialogue.right(batch)
        return answers[answers.ne(IGNORED)].to(self.device)

    def rows_of_samples(self, batch: Batch) -> Tensor:
        """Returns one row per sample of `choices`, elsewhere the tokens to write to each."""
        if batch.task.kind == "choices":
            return super().rows_of_samples(batch)
        return self.dialogue.right(batch).squeeze(1).ne(IGNORED).sum(dim=1)

    def loss(self, *batches: Batch) -> Tensor:
        """Returns the mean negative log-likelihood per token of what is right: float32 [B]."""
        return torch.cat([self._loss(batch) for batch in batches])

    def _loss(self, batch: Batch) -> Tensor:
        answers = self.dialogue.right(batch)
        lengths = self._lengths(answers.squeeze(1))
        if (logits := self._pass.known_logits(batch)) is not None:
            if batch.task.kind == "choices":
                return -logits.gather(1, batch.labels.unsqueeze(1)).squeeze(1) / lengths
            losses = cross_entropy(logits, self.targets(batch), reduction="none")
            return torch.stack([own.mean() for own in torch.split(losses, lengths.tolist())])
        with self._prompted(batch.pixels):
            right = self._likelihoods(self._after(self._prompts(batch)), answers).squeeze(1)
        return -right / lengths

    def predict(self, batch: Batch) -> Tensor:
        """Returns the likeliest choice, or the choice that the greedy answer spells.

        Case and white space of greedy answers do not matter; -1 if they spell no choice.
        """
        if self.answer == "score":
            return highest(self.logits(batch), batch.ids)
        offered = batch.texts or [batch.task.choices] * len(batch)
        answers, indices = self._generate(batch, self.dialogue.offered(batch).shape[-1]), []
        for answer, choices in zip(answers, offered, strict=True):
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
            prompts = self._prompts_of(pixels, [CAPTION_REQUEST] * len(pixels))
            return self._score(prompts, answers) / self._lengths(answers)

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Returns L2-normalised mean over the image's tokens as the language model gets them."""
        first = self._image_tokens(pixels)[..., : self._token_width]
        return normalize(first.float().mean(dim=1), dim=-1)

    def untouched(self, pixels: Tensor) -> Tensor:
        """Returns the same: prompts go to the language model."""
        return self.embed_images(pixels)

    def vision_features(self, pixels: Tensor) -> Tensor:
        """Returns the image's tokens as the language model gets them: [B, T, D]."""
        return self._image_tokens(pixels)

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
        """Returns projector and language model, unless `towers` says otherwise.

        So does LLaVA's second stage (Liu et al., NeurIPS 2023, arXiv 2304.08485, section 4.2).
        """
        return [name for name, _ in self.named_parameters() if self.tower(name) in self.towers]

    def adapted(self) -> list[str]:
        """Returns attention and MLP projections of the language model, or of `towers`."""
        return [name for name in self._linears() if self.tower(name) in self.towers & ADAPTED]

    def attention(self, reading: Literal["images", "texts"]) -> list[str]:
        """Returns self-attention of the language model, which reads both."""
        return self._attention("text") if "text" in self.towers else []

    def token_embedding(self) -> nn.Embedding:
        """That of the language model."""
        table: nn.Embedding = self.model.get_input_embeddings()
        return table

    @contextmanager
    def _prompted(self, pixels: Tensor) -> Iterator[None]:
        with self.prompting.applied(self.route(pixels)), self.computing():
            yield

    @contextmanager
    def frozen_texts(self, tasks: Sequence[Task]) -> Iterator[None]:
        """While it is open the weights do not change: images of a batch are encoded once."""
        outside, self._is_frozen, self._seen = self._is_frozen, True, None
        try:
            yield
        finally:
            self._is_frozen, self._seen = outside, None

    @contextmanager
    def one_pass(self, *batches: Batch) -> Iterator[None]:
        """Inside, a batch with logits is not read again for its loss, nor images for embeddings."""
        with self._pass.opened(), self.frozen_texts(()):
            yield

    def _image_tokens(self, pixels: Tensor) -> Tensor:
        """Returns projected image features, as the language model gets them: [B, T, layers * D].

        Most models have one layer of them (see `tokens_of`). Of such features, themselves.
        """
        if pixels.is_floating_point():
            return pixels
        if self._seen and self._seen[0] is pixels:
            return self._seen[1]
        tokens = self._encode(pixels)
        if self._is_frozen:
            self._seen = pixels, tokens
        return tokens

    def _encode(self, pixels: Tensor) -> Tensor:
        with self.computing():
            encoded = encode(self.model, self._image_inputs(pixels))
        return tokens_of(encoded, len(pixels), self._token_width)

    @cached_property
    def _blank(self) -> Tensor:
        """An image without content: uint8 [1, 3, H, W]."""
        return torch.zeros(1, 3, *self.preprocessor.resolution, dtype=torch.uint8)

    @cached_property
    def _one_by_one(self) -> bool:
        """Whether the model wants the tokens of images one by one, as it gives them itself."""
        with torch.no_grad(), self.without_dropout(), self.prompting.applied(None):
            encoded = encode(self.model, self._image_inputs(self._blank.to(self.device)))
        return not isinstance(encoded.pooler_output, Tensor)

    @cached_property
    def _grid(self) -> Tensor:
        """Patches of an image over time, height and width: int64 [1, 3]."""
        return self.preprocessor.inputs(self._blank)["image_grid_thw"]

    @cached_property
    def width(self) -> int:
        """D, that of a token; shown by an image, but where tensors have no content."""
        return self._token_width if self.device.type == "meta" else super().width

    @property
    def _token_width(self) -> int:
        return self.token_embedding().embedding_dim

    def _prompts(self, batch: Batch) -> PromptTokens:
        return self._prompts_of(batch.pixels, questions(batch))

    def _prompts_of(self, pixels: Tensor, questions: Sequence[str]) -> PromptTokens:
        features = self._image_tokens(pixels)
        tokens = self.dialogue.prompts(questions)
        held = (tokens["input_ids"] == self.model.config.image_token_id).sum(dim=1)
        if not (held == features.shape[1]).all():
            raise ValueError(
                f"The processor's prompt holds {int(held[0])} image tokens, but the model "
                f"makes {features.shape[1]} of an image; its processor_config.json does not fit."
            )
        on_device = {key: value.to(self.device) for key, value in tokens.items()}
        return {**on_device, "image_tokens": features}

    def _read(self, prompts: PromptTokens) -> ReadPrompts:
        """Returns prompts as the language model has read them, images included."""
        with self._given(prompts) as inputs:
            output = self.model(**inputs, use_cache=True, logits_to_keep=1)
            shift = self._positions(inputs)[1]
        cache = getattr(output, self._cache)
        return ReadPrompts(cache, output.logits, inputs["attention_mask"], shift)

    @contextmanager
    def _given(self, prompts: PromptTokens) -> Iterator[dict[str, Any]]:
        """Gives the arguments of the model for prompts, or for prompts with their answers."""
        texts = {key: value for key, value in prompts.items() if key != "image_tokens"}
        images = encoded_of(prompts["image_tokens"], self._token_width, self._one_by_one)
        with self.with_context(texts, start=0) as given:
            positions, _ = self._positions(given)
            yield {**given, "position_ids": positions, "mm_encoder_outputs": {"image": images}}

    def _positions(self, texts: PromptTokens) -> tuple[Tensor, Tensor | None]:
        """Returns the positions of the tokens of prompts, and the shift of what follows them."""
        find = getattr(self.model.base_model, "get_rope_index", None)
        if find is None:
            return plain_positions(texts["attention_mask"]), None
        grids = self._grid.to(self.device).expand(len(texts["input_ids"]), -1)
        read = {key: texts[key] for key in PER_TOKEN if key in texts}
        positions, shift = find(**read, image_grid_thw=grids)
        return positions, shift

    def _score(self, prompts: PromptTokens, answers: Tensor) -> Tensor:
        """Returns the log-likelihood of answers after prompts: float32 [B, N].

        Args:
            prompts: B of them.
            answers: int64 [N, A], or every sample's own, [B, N, A]; of which there may be fewer.
        """
        count, length = prompts["attention_mask"].shape
        length += self.prompting.context_length
        at_once = max(1, _TOKENS_AT_ONCE // (length + answers.shape[-1]))
        samples, rows = torch.arange(count), []
        for ids in torch.split(samples, max(1, at_once // answers.shape[-2])):
            some = {key: value[ids] for key, value in prompts.items()}
            own = answers[ids] if answers.dim() == 3 else answers.expand(len(ids), -1, -1)
            route = self.prompting.route
            with self.prompting.applied(route[ids] if route else None):
                after = self._after(some)
                parts = torch.split(own, at_once, dim=1)
                scores = torch.cat([self._likelihoods(after, part) for part in parts], dim=1)
            rows.append(scores.masked_fill(own[:, :, 0].eq(IGNORED).to(self.device), LACKING))
        return torch.cat(rows)

    def _after(self, prompts: PromptTokens) -> Callable[[Tensor], Tensor]:
        """Returns what gives the logits of answers to prompts, see `_answer_logits`."""
        if self.checkpoints and self.model.training and torch.is_grad_enabled():
            return partial(self._logits_at_once, prompts)
        return partial(self._answer_logits, self._read(prompts))

    def _likelihoods(self, after: Callable[[Tensor], Tensor], answers: Tensor) -> Tensor:
        """Returns log-likelihood of each sample's own answers (int64 [B, N, A]): float32 [B, N].

        Args:
            after: What `_after` gives for the samples' prompts.
            answers: Their tokens.
        """
        logits = after(answers)
        flat = answers.flatten().to(self.device)
        losses = cross_entropy(logits.flatten(0, 1), flat, ignore_index=IGNORED, reduction="none")
        return -losses.view(*answers.shape).sum(dim=2)

    def _answer_logits(self, read: ReadPrompts, answers: Tensor) -> Tensor:
        """Returns logits of the tokens of answers (int64 [B, N, A]): float32 [B * N, A, tokens]."""
        count = answers.shape[1]
        answers = answers.flatten(0, 1).to(self.device)
        given = answers[:, :-1]
        before = read.mask.repeat_interleave(count, dim=0)
        seen = torch.cat([before, given.ne(IGNORED).long()], dim=1)
        answer = self.model(
            input_ids=given.clamp(min=0),
            attention_mask=seen,
            position_ids=read.positions(seen, count),
            **{self._cache: read.cache_for(count)},
        )
        first = read.logits.repeat_interleave(count, dim=0)
        return torch.cat([first, answer.logits], dim=1).float()

    def _logits_at_once(self, prompts: PromptTokens, answers: Tensor) -> Tensor:
        """Returns the same, by one pass through prompts with their answers.

        What layers keep for later passes is not kept where they are computed again.
        """
        count = answers.shape[1]
        answers = answers.flatten(0, 1).to(self.device)
        given = answers[:, :-1]
        follows = {"input_ids": given.clamp(min=0), "attention_mask": given.ne(IGNORED).long()}
        rows = {name: part.repeat_interleave(count, dim=0) for name, part in prompts.items()}
        if "token_type_ids" in rows:
            # Of a type of their own: no image, and no prompt, which some read both ways.
            other = int(rows["token_type_ids"].max()) + 1
            follows["token_type_ids"] = torch.full_like(given, other)
        follows["mm_token_type_ids"] = torch.zeros_like(given)
        whole = {
            name: part if name == "image_tokens" else torch.cat([part, follows[name]], dim=1)
            for name, part in rows.items()
        }
        with self._given(whole) as inputs:
            output = self.model(**inputs, use_cache=False, logits_to_keep=answers.shape[1])
        logits: Tensor = output.logits
        return logits.float()

    def _lengths(self, answers: Tensor) -> Tensor:
        return answers.ne(IGNORED).sum(dim=-1).to(self.device)

    @torch.no_grad()
    def _generate(self, batch: Batch, tokens: int) -> list[str]:
        """Returns greedy answers of at most so many tokens."""
        written = []
        with self._prompted(batch.pixels):
            read = self._read(self._prompts(batch))
            cache, logits, mask = read.cache, read.logits, read.mask
            going = mask.new_ones(len(mask), dtype=torch.bool)
            # Not by `generate`, which would read the prompts, and their images, by itself.
            for _ in range(tokens):
                token = next_tokens(logits[:, -1])
                going = going & ~torch.isin(token, self._ends.to(token.device))
                written.append(token.masked_fill(~going, self.dialogue.end))
                if not going.any():
                    break
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
                output = self.model(
                    input_ids=token.unsqueeze(1),
                    attention_mask=mask,
                    position_ids=read.positions(mask)[:, -1:],
                    use_cache=True,
                    **{self._cache: cache},
                )
                cache, logits = getattr(output, self._cache), output.logits
        ids = torch.stack(written, dim=1)
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts
