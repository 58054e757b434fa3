"""Tasks as the untouched backbone sees them: one forward pass of a sample of each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from methods.backbones.base import Backbone
from methods.data import Task
from methods.seeds import derive_seed

_BATCH = 128


@dataclass(frozen=True, eq=False)
class Embedded:
    """L2-normalised embeddings of one task, on N of its training samples and all C choices."""

    images: np.ndarray
    """float64 [N, D]"""
    labels: np.ndarray
    """int64 [N]: the choice of every image."""
    texts: np.ndarray
    """float64 [C, D]: the choices as the backbone meets them, averaged over templates."""
    names: np.ndarray
    """float64 [C, D]: the bare choices."""

    def samples(self, modality: str) -> np.ndarray:
        """The "image" or the "text" of every sample: [N, D]."""
        return self.images if modality == "image" else self.texts[self.labels]


def embed(backbone: Backbone, tasks: Mapping[str, Task], images: int) -> list[Embedded]:
    """Embed up to `images` training samples of every task, and all its choices.

    Test images are left alone: orders that are chosen by them would have seen them. Which samples
    are taken depends on the task's name and size only.
    """
    training = backbone.training
    with torch.no_grad():
        embedded = [_embed(backbone.eval(), task, images) for task in tasks.values()]
    backbone.train(training)
    return embedded


def _embed(backbone: Backbone, task: Task, images: int) -> Embedded:
    size = len(task.train.labels)
    chosen = np.random.default_rng(derive_seed("similarity", task.name)).permutation(size)
    ids = np.sort(chosen[:images])
    parts = [
        backbone.embed_images(backbone.pixels(task.train.images(part)).to(backbone.device)).cpu()
        for part in np.array_split(ids, math.ceil(len(ids) / _BATCH))
    ]
    texts = backbone.embed_texts(backbone.texts(task)).cpu()  # template by template
    names = backbone.embed_texts(task.choices).cpu()
    texts = normalize(texts.view(-1, *names.shape).mean(dim=0), dim=-1)
    return Embedded(
        torch.cat(parts).double().numpy(),
        task.train.labels[ids],
        texts.double().numpy(),
        names.double().numpy(),
    )
