"""Embeds a sample of every task with the untouched backbone, in one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from methods.backbones.base import Backbone
from sweep.similarity.sampled import Sampled

_BATCH = 128
"""Images of one forward pass."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """L2-normalised embeddings of one task, on N of its training samples and all C choices.

    A task without classes is one class, whose text is the mean of those of its samples.
    """

    images: np.ndarray
    """float64 [N, D]"""
    labels: np.ndarray
    """int64 [N]: the choice of every image."""
    texts: np.ndarray
    """float64 [C, D]: the choices in their templates, averaged over templates."""
    names: np.ndarray
    """float64 [C, D]: the choices without a template."""
    said: np.ndarray | None = None
    """float64 [N, D]: the text that is right for every image; None: that of its choice."""

    def samples(self, modality: str) -> np.ndarray:
        """Returns the "image" or the "text" of every sample: [N, D]."""
        if modality == "image":
            return self.images
        return self.texts[self.labels] if self.said is None else self.said


def embed(backbone: Backbone, samples: Sequence[Sampled]) -> list[Embedded]:
    """Embeds the samples and the choices of every task."""
    training = backbone.training
    with torch.no_grad():
        embedded = [_embed(backbone.eval(), task) for task in samples]
    backbone.train(training)
    return embedded


def embed_images(backbone: Backbone, samples: Sampled) -> np.ndarray:
    """Returns L2-normalised image embeddings of the samples: float64 [N, D]."""
    with torch.no_grad():
        parts = [backbone.embed_images(b.pixels).cpu() for b in samples.batches(_BATCH)]
    embeddings: np.ndarray = torch.cat(parts).double().numpy()
    return embeddings


def _embed(backbone: Backbone, samples: Sampled) -> Embedded:
    task = samples.task
    images, labels = embed_images(backbone, samples), samples.labels
    if not task.form.has_classes:
        parts = [backbone.embed_texts(b.targets).cpu() for b in samples.batches(_BATCH)]
        said = torch.cat(parts).double().numpy()
        mean = said.mean(axis=0, keepdims=True)
        mean /= np.linalg.norm(mean)
        return Embedded(images, labels, mean, mean, said)
    texts = backbone.embed_choices(task).cpu().double().numpy()
    names = backbone.embed_texts(task.choices).cpu().double().numpy()
    return Embedded(images, labels, texts, names)
