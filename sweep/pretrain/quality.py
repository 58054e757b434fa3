"""Measures how good a pretrained backbone is before any task is trained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.inference.intervals import Interval
from methods.backbones.base import Backbone
from methods.data import Batch, Task, batch_of
from sweep.pretrain.held_out import over_names
from sweep.stage.answer_scores import ANSWER_SCORES
from sweep.stage.task_scores import recall, relevant
from sweep.tasks.world import World
from sweep.tasks.written_classes import in_words


@torch.no_grad()
def figures(backbone: Backbone) -> dict[str, float]:
    """Returns zero-shot accuracy on the world's tasks and suites, their means, and recall at 1."""
    world = World(train=1).load()
    tasks = {name: accuracy(backbone, task) for name, task in world.tasks.items()}
    probes = world.probes.items()
    suites = {name: accuracy(backbone, task) for name, task in probes if task.choices}
    (pairs,) = (task for _, task in probes if task.kind == "pairs")
    return {
        **tasks,
        **suites,
        "mean of tasks": float(np.mean(list(tasks.values()))),
        "mean of suites": float(np.mean(list(suites.values()))),
        "image-to-text R@1": recall_at_1(backbone, pairs),
    }


def accuracy(backbone: Backbone, task: Task) -> float:
    """Returns the share of right answers on the task's test split."""
    return float(hits(backbone, task).double().mean())


@torch.no_grad()
def hits(backbone: Backbone, task: Task) -> Tensor:
    """Returns which samples of the task's test split are answered rightly: bool [N]."""
    batches = _batches(backbone, task)
    return torch.cat([backbone.predict(batch) == batch.labels for batch in batches])


@dataclass(frozen=True)
class AnswerFigures:
    """What an untouched fusion model knows of a task with classes."""

    chance: float
    chosen: Interval
    """How often it chooses the right class."""
    written: Interval
    """How often its greedy answer is the name of the right class."""


@torch.no_grad()
def answer_figures(backbone: Backbone, task: Task, names: Sequence[str]) -> AnswerFigures:
    """Returns how often the right class is chosen, and how often it is written.

    Args:
        backbone: A fusion model.
        task: Asked on its test split.
        names: What the pictures of this split show, one each: intervals are over these.
    """
    asked = in_words(task)
    written = [answer for batch in _batches(backbone, asked) for answer in backbone.write(batch)]
    exact = ANSWER_SCORES["exact_match"](written, list(asked.test.texts or ()))
    return AnswerFigures(
        chance=1 / len(task.choices),
        chosen=over_names(hits(backbone, task), names),
        written=over_names(torch.from_numpy(exact), names),
    )


def _batches(backbone: Backbone, task: Task, size: int = 256) -> Iterator[Batch]:
    for ids in torch.split(torch.arange(len(task.test)), size):
        pixels = backbone.pixels(task.test.images(task.test.shown[ids.numpy()]))
        yield batch_of(task, task.test, ids, pixels.to(backbone.device))


@torch.no_grad()
def recall_at_1(backbone: Backbone, pairs: Task) -> float:
    """Returns the share of images whose best caption is their own or equal to it."""
    captions = [text for texts in pairs.test.texts or () for text in texts]
    pixels = backbone.pixels(pairs.test.pictures)
    return recall(backbone.match(pixels, captions), relevant(pairs.test), 1)
