"""Dual encoders: an image tower and a text tower with one embedding space (CLIP, SigLIP, ...)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from methods.backbones.base import ADAPTED, LACKING, TOWERS, Family, Tower, highest
from methods.backbones.families import DUAL_ENCODERS
from methods.backbones.images import ImagePreprocessor
from methods.backbones.pretrained import SAMPLE, PretrainedBackbone
from methods.backbones.prompting import Route
from methods.backbones.same_texts import different_choices, equal_shares, names_of
from methods.backbones.text_ids import TextIds
from methods.data import Batch, Kind, Task, TaskForm
from methods.kept_outputs import Frozen, OnePass
from methods.parallel import gather_rows

_TEXTS_AT_ONCE = 1024
_LOGIT_PARAMETERS = ("model.logit_scale", "model.logit_bias", "model.temperature")


class DualEncoder(PretrainedBackbone):
    """Scores a choice by the similarity of the image and the choice's prompt.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML
    2021, arXiv 2103.00020): logits are exp(logit_scale) times the cosine, and at test time a class
    is the mean over the embeddings of all its prompts (section 3.1.4). In training mode a class is
    the first template's prompt.
    """

    family: ClassVar[Family] = "dual-encoder"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"choices", "pairs"})
    towers: frozenset[Tower] = frozenset(TOWERS)

    def __init__(self, model: nn.Module, tokenizer: Any, image_processor: Any) -> None:
        super().__init__(model, tokenizer, ImagePreprocessor(image_processor))
        self.traits = DUAL_ENCODERS[self.model.config.model_type]
        if tokenizer.pad_token is None:  # a mask hides it, so that any will do
            tokenizer.pad_token = tokenizer.eos_token
        self._identify(tokenizer(SAMPLE)["input_ids"])
        self._tokens: dict[tuple[str, tuple[str, ...]], dict[str, Tensor]] = {}
        self._frozen: Frozen | None = None
        self._kept: dict[tuple[bool, tuple[str, ...]], Tensor] = {}
        """Of `keeps_texts`, by whether precision was mixed and by the texts."""
        self._kept_of: dict[str, object] = {}
        self._pass = OnePass()
        self._reader = TextIds(tokenizer, self.model.config, self.traits.fills_texts)

    @classmethod
    def refusal(cls, form: TaskForm) -> str | None:
        """Returns why a task cannot be learnt: there is nothing that writes, or reads questions."""
        if form.kind not in cls.kinds:
            return "a dual encoder compares images with texts and cannot write answers"
        if form.has_own_questions:
            return "its samples have questions of their own, which a dual encoder cannot read"
        return None

    def logits(self, batch: Batch) -> Tensor:
        """Returns scaled cosines of every image with every class, or caption: float32 [B, N].

        Raises:
            ValueError: it is no task for a dual encoder.
        """
        if batch.task.kind == "pairs":
            return self._fit(batch.pixels, lambda: self._embed_strings(batch.targets))
        return self._logits(batch)[0]

    def targets(self, batch: Batch) -> Tensor:
        """Returns the index of the right class, or of the image's own caption."""
        if batch.task.kind == "pairs":
            return torch.arange(len(batch), device=batch.labels.device)
        return batch.labels

    @classmethod
    def contrasts(cls, task: Task) -> bool:
        """Returns whether it learns which caption belongs to which image."""
        return task.kind == "pairs"

    def step_logits(self, batch: Batch) -> Tensor:
        """Returns scaled cosines of all images of a step with its classes, or its captions."""
        if batch.task.kind != "pairs" or self._texts_vary:
            return gather_rows(self.logits(batch))
        texts = gather_rows(self._embed_strings(batch.targets))
        return self.similarity(gather_rows(self.embed_images(batch.pixels)), texts)

    def loss(self, *batches: Batch) -> Tensor:
        """Returns cross entropy over classes, or over the pairs of a step: float32 [B]."""
        contrasted = [
            self._contrast(batch, self.meets_workers and batch is batches[0])
            for batch in batches
            if batch.task.kind == "pairs"
        ]
        classified = [batch for batch in batches if batch.task.kind != "pairs"]
        parts = {
            id(batch): cross_entropy(
                logits, batch.labels, reduction="none", label_smoothing=self.label_smoothing
            )
            for logits, batch in zip(self._logits(*classified), classified, strict=True)
        }
        pairs = iter(contrasted)
        return torch.cat([parts[id(b)] if id(b) in parts else next(pairs) for b in batches])

    def _contrast(self, batch: Batch, with_others: bool) -> Tensor:
        """Returns the mean cross entropy of images over captions and captions over images: [B].

        CLIP's loss. Captions of one picture, and equal captions, are right for each other's images,
        with equal shares (as in Li et al., "BLIP", ICML 2022, arXiv 2201.12086).
        """
        captions, names = batch.targets, names_of(batch)
        images = self.embed_images(batch.pixels)
        if self._texts_vary:
            fits = self._fit(batch.pixels, lambda: self._embed_strings(captions))
            both, names_there = (fits, fits.T), names
        else:
            texts = self._embed_strings(captions)
            images_there, texts_there, names_there = (
                map(gather_rows, (images, texts, names)) if with_others else (images, texts, names)
            )
            both = self.similarity(images, texts_there), self.similarity(texts, images_there)
        shares = equal_shares(names, names_there)
        of_images, of_captions = (cross_entropy(fit, shares, reduction="none") for fit in both)
        return (of_images + of_captions) / 2

    def predict(self, batch: Batch) -> Tensor:
        """Returns the most similar class."""
        return highest(self.logits(batch), batch.ids)

    def match(self, pixels: Tensor, captions: Sequence[str]) -> Tensor:
        """Returns scaled cosine of every image with every caption: float32 [B, N]."""
        return self._fit(pixels, lambda: self.embed_texts(captions))

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Returns L2-normalised projections of the image tower: float32 [B, D]."""
        if pixels.is_floating_point():
            return pixels
        if self._frozen and self._frozen.images and self._frozen.images[0] is pixels:
            return self._frozen.images[1]
        embeddings = self._pass.images(pixels, self._embed_routed)
        if self._frozen:
            self._frozen.images = pixels, embeddings
        return embeddings

    def _embed_routed(self, pixels: Tensor) -> Tensor:
        with self.prompting.applied(self.route(pixels)):
            return self._embed_pixels(pixels)

    @contextmanager
    def one_pass(self, *batches: Batch) -> Iterator[None]:
        """Embed the images of all batches together, and so the prompts of their classes."""
        if not self.training or self.prompting.router is not None:
            yield
            return
        embedded = self._images_of(batches)
        with self._pass.opened():
            for batch, images in zip(batches, embedded, strict=True):
                self._pass.keep_images(batch.pixels, images)
            self.class_embeddings(*(batch.task for batch in batches if batch.has_classes))
            yield

    def _images_of(self, batches: Sequence[Batch]) -> list[Tensor]:
        """Returns the embeddings of several batches, from one pass."""
        if len(batches) == 1 or self._pass.is_open:
            return [self.embed_images(batch.pixels) for batch in batches]
        pixels = torch.cat([batch.pixels for batch in batches])
        return list(torch.split(self.embed_images(pixels), [len(batch) for batch in batches]))

    def untouched(self, pixels: Tensor) -> Tensor:
        """Returns the same without prompts."""
        if pixels.is_floating_point():
            return pixels
        with self.prompting.applied(None):
            return self._embed_pixels(pixels)

    def vision_features(self, pixels: Tensor) -> Tensor:
        """Returns the embeddings without prompts, which are all that is known of an image."""
        return self.untouched(pixels)

    def _embed_pixels(self, pixels: Tensor) -> Tensor:
        with self.computing():
            features = self.traits.images(self.model, **self._image_inputs(pixels))
        return normalize(features.float(), dim=-1)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns L2-normalised projections of the text tower: float32 [N, D]."""
        if self._frozen is None:
            return self._embed_strings(texts)
        prompts = self._prompts_in_texts()
        if (known := self._frozen.known(prompts, texts)) is not None:
            return known
        return self._frozen.texts.setdefault((prompts, tuple(texts)), self._embed_for_long(texts))

    def _embed_own(self, texts: Sequence[str], right: Sequence[str]) -> Tensor:
        """Returns embeddings of texts that samples have of their own."""
        if self._frozen is None:
            return self._embed_strings(texts)
        # Evaluation goes on with what is right, without templates: it comes along in one pass.
        both, prompts = [*texts, *right], self._prompts_in_texts()
        return self._frozen.own(prompts, both, self._embed_strings)[: len(texts)]

    @torch.no_grad()
    def _embed_for_long(self, texts: Sequence[str]) -> Tensor:
        """Returns embeddings of texts that are embedded together, again and again."""
        key = torch.is_autocast_enabled(self.device.type), tuple(texts)
        if not self.keeps_texts:
            return self._embed_strings(texts)
        if key not in self._kept:
            self._kept[key] = self._embed_strings(texts)
        return self._kept[key]

    def _embed_strings(self, texts: Sequence[str]) -> Tensor:
        return self._pass.texts(texts, self._embed_chunks)

    def _embed_chunks(self, texts: Sequence[str]) -> Tensor:
        chunks = [texts[i : i + _TEXTS_AT_ONCE] for i in range(0, len(texts), _TEXTS_AT_ONCE)]
        return torch.cat([self._embed_tokens(self._ids(chunk)) for chunk in chunks])

    def _ids(self, texts: Sequence[str]) -> dict[str, Tensor]:
        context = self.prompting.context_length
        return self._reader.read(texts, context, self.token_embedding().num_embeddings)

    def _prompts_in_texts(self) -> tuple[int, ...]:
        """Returns what else the embeddings of texts depend on at the moment."""
        route = self.prompting.route
        if route is None or not self.prompting.in_texts:
            return ()
        return tuple(route.prompts[0].tolist())

    def class_embeddings(self, *tasks: Task) -> list[Tensor]:
        """Returns, per task, one L2-normalised embedding per choice: float32 [C, D]."""
        if not self.training:
            return [self.embed_choices(task) for task in tasks]
        return self._pass.classes(tasks, self._embed_classes)

    def _embed_classes(self, tasks: Sequence[Task]) -> list[Tensor]:
        together = self._reader.together([self._prompts(task) for task in tasks])
        sizes = [len(task.choices) for task in tasks]
        return list(torch.split(self._embed_tokens(together), sizes))

    def _prompts(self, task: Task) -> dict[str, Tensor]:
        key = (task.templates[0], task.choices)
        if key not in self._tokens:
            self._tokens[key] = self._ids(task.prompts())
        return self._tokens[key]

    def _logits(self, *batches: Batch) -> list[Tensor]:
        """Returns logits of every batch, with one pass through each tower."""
        for batch in batches:
            form = TaskForm(batch.task.kind, batch.texts is not None, batch.questions is not None)
            if reason := self.refusal(form):
                raise ValueError(f"Task '{batch.task.name}': {reason}; use a fusion backbone.")
        if not batches:
            return []
        if any(batch.texts for batch in batches):
            return [
                self._own_logits(batch, batch.texts) if batch.texts else self._logits(batch)[0]
                for batch in batches
            ]
        if self._texts_vary:
            return [self._fit(batch.pixels, self._classes_of(batch)) for batch in batches]
        images = self._images_of(batches)
        classes = self.class_embeddings(*(batch.task for batch in batches))
        return [self.similarity(*pair) for pair in zip(images, classes, strict=True)]

    def _own_logits(self, batch: Batch, choices: Sequence[tuple[str, ...]]) -> Tensor:
        """Returns scaled cosines of every image with the sample's own choices: float32 [B, C]."""
        different, columns = different_choices(choices)
        templates = batch.task.templates[:1] if self.training else batch.task.templates
        task = replace(batch.task, choices=different, templates=templates)

        def embed() -> Tensor:
            texts = self._embed_own(self.texts(task), batch.targets)
            return normalize(texts.view(len(templates), len(different), -1).mean(dim=0), dim=-1)

        fit = self._fit(batch.pixels, embed)
        columns = columns.to(fit.device)
        return fit.gather(1, columns.clamp(min=0)).masked_fill(columns < 0, LACKING)

    def _classes_of(self, batch: Batch) -> Callable[[], Tensor]:
        return lambda: self.class_embeddings(batch.task)[0]

    @property
    def _texts_vary(self) -> bool:
        """Whether a text is embedded in another way for every image."""
        return self.prompting.router is not None and self.prompting.in_texts

    def _fit(self, pixels: Tensor, embed: Callable[[], Tensor]) -> Tensor:
        """Returns the fit of images to texts that `embed` gives under their prompts: [B, N].

        A weight below one goes from the untouched texts' similarity towards that with the prompts:
        texts then have to be embedded once per prompt, not once per image.
        """
        images, route = self.embed_images(pixels), self.route(pixels)
        if route is None or not self._texts_vary:
            return self.similarity(images, embed())
        with self.prompting.applied(None):
            plain = self.similarity(images, embed())
        prompted = plain.clone()
        sets, of_image = torch.unique(route.prompts, dim=0, return_inverse=True)
        for number, prompts in enumerate(sets):
            rows = of_image == number
            with self.prompting.applied(Route.to(prompts)):
                prompted[rows] = self.similarity(images[rows], embed())
        return plain.lerp(prompted, route.weight.unsqueeze(1))

    @contextmanager
    def frozen_texts(self, tasks: Sequence[Task]) -> Iterator[None]:
        """Embed the prompts of all `tasks` together, once, for evaluation inside the context.

        The weights must not change inside, and no gradient flows into the text tower.
        """
        known = dict.fromkeys(one for task in tasks for one in task.others or (task,))
        texts = [self.texts(task) for task in known]
        together = [text for part in texts for text in part]
        prompts = self._prompts_in_texts()
        outside = self._frozen
        if self.keeps_texts and (state := self.reading_state("texts")) != self._kept_of:
            self._kept, self._kept_of = {}, state
        embeddings = self._embed_for_long(together) if together else torch.empty(0)
        parts = torch.split(embeddings, [len(part) for part in texts])
        keys = [(prompts, tuple(part)) for part in texts]
        self._frozen = Frozen(dict(zip(keys, parts, strict=True)))
        try:
            yield
        finally:
            self._frozen = outside

    def texts(self, task: Task) -> list[str]:
        """Returns the prompts of all templates, template by template."""
        return [text for template in range(len(task.templates)) for text in task.prompts(template)]

    def trainable(self) -> list[str]:
        """Returns everything but the temperature and its offset, and what is not in use."""
        return [
            name
            for name, _ in self.named_parameters()
            if name not in _LOGIT_PARAMETERS
            and not self.traits.is_idle(name)
            and self.tower(name) in self.towers
        ]

    def adapted(self) -> list[str]:
        """Returns attention and MLP projections of both towers.

        Raises:
            ValueError: a tower has none, such as a convolutional one.
        """
        linears = [name for name in self._linears() if not self.traits.is_idle(name)]
        by_tower: dict[Tower, list[str]] = {tower: [] for tower in self.towers & ADAPTED}
        for name in linears:
            by_tower.get(self.tower(name), []).append(name)
        for tower, layers in by_tower.items():
            self._check_any(layers, tower)
        return [name for name in linears if self.tower(name) in by_tower]

    def attention(self, reading: Literal["images", "texts"]) -> list[str]:
        """Returns self-attention of the image tower, or of the text tower.

        Raises:
            ValueError: there is none that prompts can join.
        """
        tower: Tower = "vision" if reading == "images" else "text"
        if tower not in self.towers:
            return []
        layers = self._attention(tower)
        self._check_any(layers, tower)
        return layers

    def _check_any(self, layers: Sequence[str], tower: str) -> None:
        """Half a method, in the other tower alone, would pass for the whole."""
        if not layers:
            raise ValueError(
                f"the {tower} tower of {self.model.config.model_type} models has no layers that "
                "this method can be put into; choose one that trains weights, such as finetune"
            )

    def token_embedding(self) -> nn.Embedding:
        """That of the text tower."""
        tower: Any = self.model.get_submodule(self.traits.text_tower)
        table: nn.Embedding = tower.get_input_embeddings()
        return table

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Returns scaled cosine, with the model's temperature and offset: float32 [B, N]."""
        # Under bf16 autocast a cosine times 100 would keep three digits: ties would decide.
        with torch.autocast(images.device.type, enabled=False):
            scaled = self.traits.scale(self.model) * (images @ texts.T)
            bias: Tensor | None = getattr(self.model, "logit_bias", None)
            return scaled if bias is None else scaled + bias.float()

    def _embed_tokens(self, tokens: dict[str, Tensor]) -> Tensor:
        on_device = {name: ids.to(self.device) for name, ids in tokens.items()}
        start = int(tokens["input_ids"][0, 0] == self.tokenizer.bos_token_id)
        with self.with_context(on_device, start) as tokens, self.computing():
            features = self.traits.texts(self.model, **tokens)
        return normalize(features.float(), dim=-1)
