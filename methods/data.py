"""What methods and backbones learn from: tasks, splits and batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from methods.seeds import derive_seed

Images = np.ndarray | Sequence[Image.Image]
"""Either one uint8 array [B, H, W, 3] or B pictures of any size."""


class Split(Protocol):
    """The samples of one task for training or for testing, in a fixed order."""

    @property
    def labels(self) -> np.ndarray:
        """int64 [N]: index of the right choice of every sample."""

    @property
    def questions(self) -> Sequence[str] | None:
        """One question per sample, or None when the task's own question serves all."""

    def images(self, ids: np.ndarray) -> Images:
        """Returns the images of the samples `ids` (int64 [B], each in 0..N-1), in that order."""


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """A split that is held in memory: uint8 pixels [N, H, W, 3], or N pictures of any size."""

    pixels: Images
    labels: np.ndarray
    questions: Sequence[str] | None = None

    def images(self, ids: np.ndarray) -> Images:
        """Returns the images of the samples `ids`."""
        if isinstance(self.pixels, np.ndarray):
            chosen: np.ndarray = self.pixels[ids]
            return chosen
        return [self.pixels[i] for i in ids]


@dataclass(frozen=True, eq=False)
class Task:
    """One environment to learn, or one held-out suite to be probed with.

    A sample is an image, for question answering also a question, and the index of the right
    choice among `choices` (class names or answers).
    """

    name: str
    choices: tuple[str, ...]
    templates: tuple[str, ...]
    """Prompts for dual encoders; "{}" stands for the choice. The first one is trained with, the
    mean over all of them is evaluated with."""
    question: str
    """Put to fusion backbones for samples without a question of their own."""
    train: Split
    test: Split

    def prompts(self, template: int = 0) -> list[str]:
        """Returns one text per choice, from one template."""
        return [self.templates[template].format(choice) for choice in self.choices]


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Image-caption pairs, never trained on: image i belongs to caption i.

    Equal captions count as right answers of one another.
    """

    name: str
    pixels: Images
    captions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of one task, on the device of the model."""

    task: Task
    pixels: Tensor
    """uint8 [B, 3, H, W] at the backbone's resolution; not normalised yet."""
    labels: Tensor
    """int64 [B]"""
    ids: Tensor
    """int64 [B], on the CPU: which samples of the split these are."""
    questions: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


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
