"""The one interface through which methods and evaluation see a vision-language model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.backbones.prompting import Prompting, Route
from methods.data import Batch, Images, Task

Family = Literal["dual-encoder", "fusion"]
Tower = Literal["vision", "text", "joint"]


class Backbone(nn.Module, ABC):
    """A pretrained vision-language model of either family.

    Methods never ask which family they train: everything below is defined for both.
    Pixels are uint8 [B, 3, H, W] at the model's resolution; normalisation happens inside.
    Log-likelihoods are natural logarithms. `device` is wherever the module was moved to.
    """

    family: ClassVar[Family]
    model: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.prompting = Prompting()
        self._query: tuple[Tensor, Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @abstractmethod
    def pixels(self, images: Images) -> Tensor:
        """Resize and crop as the model's own image processor does: uint8 [B, 3, H, W], CPU.

        Arrays that already have the model's resolution pass through unchanged.
        """

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Score of every choice of the batch's task, differentiable: float [B, C].

        A softmax over choices turns scores into the model's belief in each choice.
        """

    @abstractmethod
    def loss(self, *batches: Batch) -> Tensor:
        """Returns the negative log-likelihood of the right choice, differentiable: float [B].

        Several batches, each of a task of its own, cost less together than one by one; their
        samples follow one another in the result.
        """

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """Returns the index of the answer to each sample: int64 [B]; -1: it is no choice."""

    @abstractmethod
    def embed_images(self, pixels: Tensor) -> Tensor:
        """Returns L2-normalised image embeddings: float [B, D]."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns L2-normalised text embeddings in the same space as the images': float [N, D]."""

    def embed_choices(self, task: Task) -> Tensor:
        """Returns each choice's L2-normalised mean embedding over its texts: float32 [C, D]."""
        texts = self.embed_texts(self.texts(task))
        return normalize(texts.view(-1, len(task.choices), texts.shape[1]).mean(dim=0), dim=-1)

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Fit of image embeddings [B, D] to text embeddings [N, D], as logits: float32 [B, N].

        100 times the cosine, which is what CLIP learnt; backbones with a temperature use theirs.
        """
        return 100 * (images @ texts.T)

    @abstractmethod
    def match(self, pixels: Tensor, captions: Sequence[str]) -> Tensor:
        """Returns how well every caption fits every image, for retrieval: float [B, N]."""

    @abstractmethod
    def texts(self, task: Task) -> list[str]:
        """Returns the texts in which this backbone meets the choices, one or more per choice.

        First one text of every choice, then the second one of every choice, and so on.
        """

    @abstractmethod
    def tower(self, parameter: str) -> Tower:
        """Returns the part of the model that a parameter of `named_parameters` belongs to."""

    @abstractmethod
    def trainable(self) -> list[str]:
        """Returns the names of the parameters that full fine-tuning trains."""

    @abstractmethod
    def adapted(self) -> list[str]:
        """Returns the names (of `named_modules`) of linear layers that low-rank adapters go to."""

    @abstractmethod
    def attention(self, reading: Literal["images", "texts"]) -> list[str]:
        """Returns the names of attention layers that read images, or texts, for prompts.

        As in `named_modules`, first to last. The same ones may read both.
        """

    @abstractmethod
    def token_embedding(self) -> nn.Embedding:
        """Returns the table by which texts are read."""

    @abstractmethod
    def untouched(self, pixels: Tensor) -> Tensor:
        """Returns what `embed_images` gives where there are no prompts."""

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of entries D of an embedding."""

    @torch.no_grad()
    def query(self, pixels: Tensor) -> Tensor:
        """Returns the embeddings by which images choose prompts, without gradient: [B, D]."""
        if self._query is None or self._query[0] is not pixels:
            with self.without_dropout():  # an image chooses the same prompts in training and later
                self._query = pixels, self.untouched(pixels)
        return self._query[1]

    def route(self, pixels: Tensor) -> Route | None:
        """Returns which prompts these images get."""
        router = self.prompting.router
        return router(self.query(pixels)) if router else self.prompting.route

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        """Put layers into evaluation mode inside; the backbone stays in its own mode."""
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)

    def frozen_texts(self, tasks: Sequence[Task]) -> AbstractContextManager[None]:
        """While it is open the weights do not change: texts of `tasks` need embedding only once.

        Predictions are the same with and without; backbones that embed no prompts do nothing.
        """
        return nullcontext()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies weights, configuration and preprocessing."""
