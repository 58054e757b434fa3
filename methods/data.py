"""What methods and backbones learn from: tasks, splits and batches.

A task is of one of three kinds:

    choices     which of several classes, options or answers is right for an image
    pairs       which caption belongs to which image
    answers     what to write in answer to a question, or an instruction, about an image
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, Self, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from methods.seeds import derive_seed

Images = np.ndarray | Sequence[Image.Image]
"""Either one uint8 array [B, H, W, 3] or B pictures of any size."""
Kind = Literal["choices", "pairs", "answers"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class TaskForm(NamedTuple):
    """What must be known of a task to tell which methods and backbones can learn it."""

    kind: Kind = "choices"
    has_own_choices: bool = False
    """Whether its samples have choices of their own, so that the task has no classes."""
    has_own_questions: bool = False
    """Whether its samples have questions of their own."""

    @property
    def has_classes(self) -> bool:
        """Whether one list of choices holds for all samples."""
        return self.kind == "choices" and not self.has_own_choices


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one task for training or for testing, in a fixed order.

    A sample is a picture with what is asked or said about it. Several samples may show the same
    picture, which is then prepared once.

    >>> pictures = np.zeros((2, 8, 8, 3), np.uint8)
    >>> split = Split.of_captions(pictures, [["a cat", "a pet"], ["a dog"]])
    >>> len(split), split.shown.tolist(), split.texts
    (3, [0, 0, 1], (('a cat',), ('a pet',), ('a dog',)))
    """

    pictures: Images
    """uint8 pixels [P, H, W, 3], or P pictures of any size, opened when they are asked for."""
    labels: np.ndarray
    """int64 [N]: index of the right choice of every sample; 0 where there are no choices."""
    questions: Sequence[str] | None = None
    """One per sample, or None where the task's own question serves all."""
    texts: Sequence[tuple[str, ...]] | None = None
    """Per sample: its caption (of `pairs`, one each), its reference answers (of `answers`), or
    choices of its own (of `choices`; None where those of the task hold)."""
    shown: np.ndarray = field(default_factory=lambda: np.arange(0))
    """int64 [N]: the picture that every sample shows; by default each its own."""

    def __post_init__(self) -> None:
        if not len(self.shown):
            object.__setattr__(self, "shown", np.arange(len(self.labels)))

    @classmethod
    def of_captions(cls, pictures: Images, captions: Sequence[Sequence[str]]) -> Self:
        """Returns a split of `pairs`: a sample for every caption of every picture."""
        shown = np.repeat(np.arange(len(captions)), [len(those) for those in captions])
        texts = tuple((caption,) for those in captions for caption in those)
        return cls(pictures, np.zeros(len(shown), np.int64), None, texts, shown)

    def __len__(self) -> int:
        """Returns the number of samples."""
        return len(self.labels)

    def images(self, numbers: np.ndarray) -> Images:
        """Returns pictures by their numbers (int64 [B], each in 0..P-1), in that order."""
        if isinstance(self.pictures, np.ndarray):
            chosen: np.ndarray = self.pictures[numbers]
            return chosen
        return [self.pictures[int(i)] for i in numbers]

    def part(self, ids: np.ndarray) -> "Split":
        """Returns some of the samples, in the order of `ids` (int64), and only their pictures."""
        numbers, shown = np.unique(self.shown[ids], return_inverse=True)
        held = isinstance(self.pictures, np.ndarray)
        return Split(
            pictures=self.images(numbers) if held else _Some(self, numbers),
            labels=self.labels[ids],
            questions=self.questions and tuple(self.questions[i] for i in ids),
            texts=self.texts and tuple(self.texts[i] for i in ids),
            shown=shown,
        )

    def content(self, ids: Tensor) -> dict[str, Any]:
        """Returns what a batch of the samples `ids` (int64 [B], CPU) holds beside its pixels."""
        chosen = ids.tolist()
        return {
            "labels": torch.from_numpy(self.labels)[ids],
            "ids": ids,
            "questions": self.questions and tuple(self.questions[i] for i in chosen),
            "texts": self.texts and tuple(self.texts[i] for i in chosen),
            "shown": torch.from_numpy(self.shown)[ids],
        }


class _Some(Sequence[Image.Image]):
    """Some of the pictures of a split."""

    def __init__(self, split: Split, numbers: np.ndarray) -> None:
        self._split, self._numbers = split, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        return self._split.images(self._numbers[[index]])[0]


@dataclass(frozen=True, eq=False)
class Task:
    """One environment to learn, or one held-out suite to be probed with."""

    name: str
    choices: tuple[str, ...]
    """Class names or answers, one of which is right; empty if samples have choices of their own,
    or none."""
    templates: tuple[str, ...]
    """Prompts for dual encoders; "{}" stands for the choice. The first one is trained with, the
    mean over all of them is evaluated with."""
    question: str
    """Put to fusion backbones for samples without a question of their own."""
    train: Split
    test: Split
    kind: Kind = "choices"
    score: str = "accuracy"
    """Which of its metrics, in 0..1, is its score."""
    answer_tokens: int = 32
    """Most tokens of an answer that is written (of `answers`)."""
    tested_of: int | None = None
    """Of how many test samples (pictures, of `pairs`) those in `test` were drawn; None: all."""
    others: tuple["Task", ...] = ()
    """Tasks whose choices stand among `choices` beside its own, with templates of their own: first
    those of the first one, then of the second, ... One of them is the task itself."""

    def prompts(self, template: int = 0) -> list[str]:
        """Returns one text per choice, from one template."""
        return [self.templates[template].format(choice) for choice in self.choices]

    @property
    def form(self) -> TaskForm:
        """Returns what must be known to tell which methods and backbones can learn it."""
        return TaskForm(
            self.kind,
            self.kind == "choices" and self.test.texts is not None,
            self.test.questions is not None,
        )


@dataclass(frozen=True)
class BatchPart:
    """Which samples of a worker's share of a step go through the model together."""

    start: int
    stop: int
    of: int
    """Samples of the whole share."""

    @property
    def is_first(self) -> bool:
        """Whether the step begins with it."""
        return self.start == 0

    @property
    def is_last(self) -> bool:
        """Whether the step ends with it."""
        return self.stop == self.of

    @property
    def share(self) -> float:
        """Its part of the samples, which is its weight in a mean over all of them."""
        return (self.stop - self.start) / self.of


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of one task, on the device of the model."""

    task: Task
    pixels: Tensor
    """uint8 [B, 3, H, W] at the backbone's resolution, not normalised yet; or, where a method does
    not read them and leaves alone what does, the backbone's `vision_features` of them."""
    labels: Tensor
    """int64 [B]: index of the right choice; 0 where there are no choices."""
    ids: Tensor
    """int64 [B], on the CPU: which samples of the split these are."""
    questions: tuple[str, ...] | None = None
    texts: tuple[tuple[str, ...], ...] | None = None
    """Per sample: its caption, its reference answers, or choices of its own."""
    shown: Tensor | None = None
    """int64 [B], on the CPU: the number of the picture that each sample shows; None: all differ."""
    part: BatchPart | None = None
    """Of which part of a step these are all samples; None: of all of it, or of no step."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Tensor) -> "Batch":
        """Returns the samples at some places of the batch (int64 [n], on any device)."""
        here = chosen.cpu()
        there = here.to(self.pixels.device)
        return replace(
            self,
            pixels=self.pixels[there],
            labels=self.labels[there],
            ids=self.ids[here],
            questions=self.questions and tuple(self.questions[i] for i in here.tolist()),
            texts=self.texts and tuple(self.texts[i] for i in here.tolist()),
            shown=None if self.shown is None else self.shown[here],
        )

    def parts(self, size: int | None) -> Iterator["Batch"]:
        """Yields parts of at most `size` samples, the last of which may have fewer; None: all."""
        count = len(self)
        if size is None or size >= count:
            yield self
            return
        for start in range(0, count, size):
            stop = min(start + size, count)
            some = self.rows(torch.arange(start, stop))
            yield replace(some, part=BatchPart(start, stop, count))

    def once(self, term: Callable[[], Tensor]) -> Tensor | float:
        """Returns a term of a step's loss that does not depend on the samples of the batch.

        Where a step is made in parts the last of them has it, so weighed that the step has it once.
        """
        if self.part is None:
            return term()
        return term() / self.part.share if self.part.is_last else 0.0

    @property
    def has_classes(self) -> bool:
        """Whether one list of choices holds for all samples."""
        return self.task.kind == "choices" and self.texts is None

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the text that is right for every sample, and is learnt.

        That is its right choice, its caption, or the reference answer that occurs most often, the
        first of several.
        """
        labels = self.labels.tolist()
        if self.task.kind == "choices":
            offered = self.texts or [self.task.choices] * len(self)
            return tuple(own[label] for own, label in zip(offered, labels, strict=True))
        assert self.texts is not None
        return tuple(max(dict.fromkeys(texts), key=texts.count) for texts in self.texts)


def batch_of(task: Task, split: Split, ids: Tensor, pixels: Tensor) -> Batch:
    """Returns samples of a split as a batch on the device of their pixels.

    Args:
        task: Whose split it is.
        split: Where the samples are.
        ids: int64 [B], on the CPU.
        pixels: Of the pictures that they show: uint8 [B, 3, H, W], or their `vision_features`.
    """
    batch = Batch(task=task, pixels=pixels, **split.content(ids))
    return replace(batch, labels=batch.labels.to(pixels.device, non_blocking=True))


class TaskData(Protocol):
    """Samples to train on, of one task, as batches for one backbone."""

    def __len__(self) -> int:
        """Returns how many there are."""

    @property
    def task(self) -> Task:
        """The task itself."""

    def batch(self, ids: Tensor) -> Batch:
        """Returns the samples `ids` (int64 [B]) as one batch on the model's device."""


class Reference(Protocol):
    """Image-caption pairs of no task, and what the untouched backbone makes of them.

    A fixed pool that all trainings of a study share: its embeddings are computed once.
    """

    @property
    def captions(self) -> Sequence[str]:
        """The captions of the N images."""

    @property
    def image_embeddings(self) -> Tensor:
        """The untouched backbone's `embed_images` of all images: float32 [N, D], on the CPU."""

    @property
    def text_embeddings(self) -> Tensor:
        """The untouched backbone's `embed_texts` of all captions: float32 [N, D], on the CPU."""

    def pixels(self, ids: Tensor) -> Tensor:
        """Returns the images `ids` (int64 [B]): uint8 [B, 3, H, W], on the model's device."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a method may know about the stage it is in."""

    prefix: tuple[str, ...]
    """The tasks learnt up to and including this stage, in order."""
    tasks: Mapping[str, TaskData]
    """Training data of the tasks in `prefix`, by name."""
    batch_size: int
    """Samples of one step over all workers together."""
    seed: int
    """Derived from the replicate's seed and the prefix, never from what ran before."""
    replicate_seed: int
    """The same for all stages of a replicate: for what must not depend on the order."""
    stream: Sequence[tuple[str, Tensor]]
    """Per step: the task drawn from and the sample ids of the whole (all workers') batch."""
    reference: Reference | None = None
    """Only for methods that need one."""
    synthetic: Mapping[str, TaskData] = field(default_factory=dict)
    """Generated samples of the tasks learnt before this stage; only for methods that need them."""
    rank: int = 0
    world_size: int = 1

    @property
    def task(self) -> str:
        """The task learnt in this stage."""
        return self.prefix[-1]

    def generator(self, purpose: str) -> torch.Generator:
        """Returns a CPU generator for one purpose; equal on every worker and in every rerun."""
        return torch.Generator().manual_seed(derive_seed(self.seed, purpose))

    def shard(self, ids: Tensor) -> Tensor:
        """Returns the share of a whole batch that this worker computes."""
        return ids[self.rank :: self.world_size]
