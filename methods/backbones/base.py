"""The one interface through which methods and evaluation see a vision-language model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.backbones.prompting import Prompting, Route
from methods.data import Batch, Images, Kind, Task, TaskForm
from methods.parallel import gather_rows

Family = Literal["dual-encoder", "fusion"]
_KNUTH = 2654435761
"""Of multiplicative hashing (The Art of Computer Programming, volume 3, section 6.4)."""
LACKING = -1e4
"""Logit of a choice that a sample does not have: finite, so that differences of logits are."""
UNDECIDED = -2
"""Predicted where scores are NaN or infinite, which decide nothing; it fails the stage."""
Tower = Literal["vision", "text", "joint"]
TOWERS: tuple[Tower, ...] = get_args(Tower)
ADAPTED: frozenset[Tower] = frozenset({"vision", "text"})
"""Those with layers that adapters go to."""
Reading = Literal["images", "texts"]
READINGS: tuple[Reading, ...] = get_args(Reading)


class Backbone(nn.Module, ABC):
    """A pretrained vision-language model of either family.

    Methods never ask which family they train: everything below is defined for both.
    Pixels are uint8 [B, 3, H, W] at the model's resolution; normalisation happens inside. Wherever
    pixels are taken, so are the floats that `vision_features` makes of them.
    Log-likelihoods are natural logarithms. `device` is wherever the module was moved to.
    """

    family: ClassVar[Family]
    kinds: ClassVar[frozenset[Kind]]
    """Kinds of tasks that it can learn."""
    model: nn.Module
    towers: frozenset[Tower]
    """The parts of the model that methods train or put something into; see `learn_in`."""

    def __init__(self) -> None:
        super().__init__()
        self.prompting = Prompting()
        self.label_smoothing = 0.0
        """The share of the classes' targets that is spread over all of them in `loss`."""
        self.meets_workers = False
        """Whether all workers are at the same step, so that `loss` may compare a sample with those
        of the others. Elsewhere each worker looks at samples of its own."""
        self.keeps_texts = False
        """Whether `frozen_texts` may keep embeddings for ever, since texts are read by the
        untouched backbone."""
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

    @classmethod
    def refusal(cls, form: TaskForm) -> str | None:
        """Returns why tasks of a form cannot be learnt, the end of a sentence; None: they can."""
        return None

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """Scores of what a batch decides between, differentiable: float [rows, columns].

        A softmax over the columns of a row turns scores into the model's belief. Of `choices`: a
        row per sample, a column per choice (choices that a sample lacks have LACKING). Of what is
        learnt by contrast (`pairs`, of dual encoders): a row per image, a column per caption of
        the batch. Of what is learnt word by word: a row per token to be written, sample after
        sample, a column per token of the vocabulary.
        """

    @abstractmethod
    def targets(self, batch: Batch) -> Tensor:
        """Returns the right column of every row of `logits`: int64 [rows]."""

    @classmethod
    def contrasts(cls, task: Task) -> bool:
        """Returns whether it learns a task by comparing the samples of a step with one another."""
        return False

    def rows_of_samples(self, batch: Batch) -> Tensor:
        """Returns how many rows of `logits` each sample has: int64 [B], on the CPU."""
        return torch.ones(len(batch), dtype=torch.int64)

    def has_table(self, batch: Batch) -> bool:
        """Returns whether `logits` are a table: a row per sample, with the same columns for all.

        They are not where samples have choices of their own, or where words are rows.
        """
        return batch.has_classes or self.contrasts(batch.task)

    def step_logits(self, batch: Batch) -> Tensor:
        """Returns the table of the samples of a step, those of all workers (see `has_table`)."""
        return gather_rows(self.logits(batch))

    @abstractmethod
    def loss(self, *batches: Batch) -> Tensor:
        """Returns what a sample costs, in nats, differentiable: float [B].

        That is the negative log-likelihood of the right choice among the choices; of the right
        caption and the right image of a pair, the mean of both, among those of the step; or of a
        token of what is to be written, the mean over its tokens. Several batches, each of a task of
        its own, cost less together than one by one; their samples follow one another in the result.
        Only the first of them is the step's own: pairs of the others are compared within their
        batch alone, as each worker may have other ones.
        """

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """Returns the index of the choice for each sample: int64 [B]; see `highest`.

        -1: what the model says is no choice.
        """

    def write(self, batch: Batch) -> list[str]:
        """Returns the answer that the model writes to each sample.

        Raises:
            ValueError: the model writes nothing.
        """
        raise ValueError(f"a {self.family} backbone writes no answers")

    @abstractmethod
    def embed_images(self, pixels: Tensor) -> Tensor:
        """Returns L2-normalised image embeddings: float [B, D]."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns L2-normalised text embeddings in the same space as the images': float [N, D]."""

    def embed_choices(self, task: Task) -> Tensor:
        """Returns each choice's L2-normalised mean embedding over its texts: float32 [C, D]."""
        if task.others:
            return torch.cat([self.embed_choices(one) for one in task.others])
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

        First one text of every choice, then the second one of every choice, and so on. Of tasks
        without choices of their own there are none.
        """

    @abstractmethod
    def tower(self, parameter: str) -> Tower:
        """Returns the part of the model that a parameter of `named_parameters` belongs to."""

    def learn_in(self, towers: Iterable[Tower]) -> None:
        """From now on let methods train and change these parts of the model alone.

        To be called before there is a method: it looks up its weights once.
        """
        self.towers = frozenset(towers)

    @abstractmethod
    def trainable(self) -> list[str]:
        """Returns the names of the parameters that full fine-tuning trains, in `towers`."""

    @abstractmethod
    def adapted(self) -> list[str]:
        """Returns the names (of `named_modules`) of linear layers that low-rank adapters go to.

        They are those of ADAPTED, as far as these are among `towers`.
        """

    @abstractmethod
    def attention(self, reading: Reading) -> list[str]:
        """Returns the names of attention layers that read images, or texts, for prompts.

        As in `named_modules`, first to last, in `towers`. The same ones may read both.
        """

    @abstractmethod
    def token_embedding(self) -> nn.Embedding:
        """Returns the table by which texts are read."""

    def checkpoint(self) -> None:
        """From now on compute layers again in the backward pass.

        Raises:
            ValueError: they cannot be.
        """
        raise ValueError(f"a {self.family} backbone cannot compute layers again")

    @abstractmethod
    def untouched(self, pixels: Tensor) -> Tensor:
        """Returns what `embed_images` gives where there are no prompts."""

    def vision_features(self, pixels: Tensor) -> Tensor | None:
        """Returns what can stand for the pixels as long as nothing changes what reads images.

        That is all that the model ever learns of an image, without prompts: float [B, ...]. None:
        this backbone has nothing of the kind.
        """
        return None

    def reading_state(self, reading: Reading) -> dict[str, object]:
        """Returns what tells, by equality, whether images, or texts, are still read as they were.

        By name there are the modules of the model, except those of the other tower, with what was
        put on them, and their weights, with how often these were written. A change is always seen;
        one may be seen that changes nothing, such as writing the same values.
        """
        _ = self.width  # transformers puts hooks on some layers in their first pass
        other: Tower = "text" if reading == "images" else "vision"
        state: dict[str, object] = {}
        for name, module in self.model.named_modules(prefix="model"):
            if self.tower(name) != other:
                hooks = [*module._forward_hooks, *module._forward_pre_hooks]
                state[name] = (id(module), [*vars(module)], hooks)
        for name, weight in self.model.named_parameters(prefix="model"):
            if self.tower(name) != other:
                state[name] = (id(weight), weight.data_ptr(), weight._version)
        return state

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

    def train(self, mode: bool = True) -> Self:
        """Put layers into training or evaluation mode; running statistics stay as they are."""
        super().train(mode)
        hold_statistics(self)
        return self

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        """Put layers into evaluation mode inside; the backbone stays in its own mode."""
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)
            hold_statistics(self.model)

    def frozen_texts(self, tasks: Sequence[Task]) -> AbstractContextManager[None]:
        """While it is open the weights do not change: texts of `tasks` need embedding only once.

        Predictions are the same with and without; backbones that embed no prompts do nothing.
        """
        return nullcontext()

    def one_pass(self, *batches: Batch) -> AbstractContextManager[None]:
        """While it is open, what is asked about batches of a step in training takes one pass.

        For losses with several terms. All have the same gradient as they have by passes of their
        own, but for rounding, and for dropout, which is then the same in all of them.
        """
        return nullcontext()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies weights, configuration and preprocessing."""


def highest(scores: Tensor, ids: Tensor) -> Tensor:
    """Returns which column is the highest of each row: int64 [B]; UNDECIDED if it is not finite.

    Of several highest columns a sample gets one by lot, always the same, so that a model that tells
    nothing apart is as good as chance, wherever the right choices stand.

    Args:
        scores: float [B, C].
        ids: Numbers of the samples: int64 [B].

    >>> highest(torch.tensor([[0.0, 2.0], [1.0, torch.nan]]), torch.tensor([7, 8]))
    tensor([ 1, -2])
    """
    top = scores.amax(dim=1, keepdim=True)  # NaN where any of them is
    is_highest = scores == top
    lots = (ids.to(scores.device) + 1) * _KNUTH % 2**32 // 2**16
    place = lots % is_highest.sum(dim=1).clamp(min=1)
    chosen = (is_highest & (is_highest.cumsum(dim=1) == place.unsqueeze(1) + 1)).int().argmax(dim=1)
    return chosen.masked_fill(~top.squeeze(1).isfinite(), UNDECIDED)


def next_tokens(logits: Tensor) -> Tensor:
    """Returns the likeliest token of each row (float [B, tokens]): int64 [B].

    Raises:
        FloatingPointError: none is, since logits are NaN or infinite.
    """
    if not logits.amax(dim=1).isfinite().all():
        raise FloatingPointError(
            "an answer was to be written by logits that are NaN or infinite; lower the learning "
            "rate, or mend the method"
        )
    return logits.argmax(dim=1)


def hold_statistics(model: nn.Module) -> None:
    """Keep layers that have running statistics (batch normalisation) in evaluation mode.

    They normalise with the statistics of the pretraining, while their weights learn. That is how
    pretrained networks with such layers are usually fine-tuned (Keras's guide on transfer learning,
    the frozen batch normalisation of detectors), and what makes a stage a function of its parent's
    weights, however many workers share a batch.
    """
    for layer in model.modules():
        if getattr(layer, "running_mean", None) is not None:
            layer.eval()
