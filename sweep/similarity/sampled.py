"""Samples every task's training data, prepared for one backbone."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Batch, Task
from methods.seeds import derive_seed


class Sampled:
    """Some training samples of a task; methods can train on it (`methods.data.TaskData`)."""

    def __init__(self, backbone: Backbone, task: Task, images: int) -> None:
        """Takes up to `images` samples; which ones depends on the task's name and size only."""
        size = len(task.train.labels)
        chosen = np.random.default_rng(derive_seed("similarity", task.name)).permutation(size)
        ids = np.sort(chosen[:images])
        questions = task.train.questions
        self.task = task
        self.labels = task.train.labels[ids]
        self._pixels = backbone.pixels(task.train.images(ids))
        self._questions = tuple(questions[i] for i in ids) if questions else None
        self._device = backbone.device

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, ids: Tensor) -> Batch:
        """Returns the samples `ids`, int64 [B] in 0..N-1."""
        return Batch(
            task=self.task,
            pixels=self._pixels[ids].to(self._device),
            labels=torch.from_numpy(self.labels)[ids].to(self._device),
            ids=ids,
            questions=tuple(self._questions[i] for i in ids) if self._questions else None,
        )

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields all samples once, `size` at a time."""
        for ids in torch.split(torch.arange(len(self)), size):
            yield self.batch(ids)


def sample(backbone: Backbone, tasks: Mapping[str, Task], images: int) -> list[Sampled]:
    """Returns up to `images` training samples of every task.

    It does not use test images: orders chosen with them would leak information from the test set.
    """
    return [Sampled(backbone, task, images) for task in tasks.values()]
