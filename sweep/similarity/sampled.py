"""Samples every task's training data, prepared for one backbone."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Batch, Task, batch_of
from methods.seeds import derive_seed


class Sampled:
    """Some training samples of a task; methods can train on it (`methods.data.TaskData`)."""

    def __init__(self, backbone: Backbone, task: Task, images: int) -> None:
        """Takes up to `images` samples; which ones depends on the task's name and size only."""
        size = len(task.train)
        chosen = np.random.default_rng(derive_seed("similarity", task.name)).permutation(size)
        ids = np.sort(chosen[:images])
        self.task = task
        self.samples = task.train.part(ids)
        self.pixels = backbone.pixels(self.samples.images(np.arange(len(self.samples.pictures))))
        self._device = backbone.device

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> np.ndarray:
        """int64 [N]: the class of every sample; all are of one where the task has no classes."""
        return self.samples.labels if self.task.form.has_classes else np.zeros(len(self), np.int64)

    def batch(self, ids: Tensor) -> Batch:
        """Returns the samples `ids`, int64 [B] in 0..N-1."""
        pixels = self.pixels[torch.from_numpy(self.samples.shown)[ids]].to(self._device)
        return batch_of(self.task, self.samples, ids, pixels)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields all samples once, `size` at a time."""
        for ids in torch.split(torch.arange(len(self)), size):
            yield self.batch(ids)


def sample(backbone: Backbone, tasks: Mapping[str, Task], images: int) -> list[Sampled]:
    """Returns up to `images` training samples of every task.

    It does not use test images: orders chosen with them would leak information from the test set.
    """
    return [Sampled(backbone, task, images) for task in tasks.values()]
