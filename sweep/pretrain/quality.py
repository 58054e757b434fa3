"""Measures how good a pretrained dual encoder is before any task is trained."""

import numpy as np
import torch

from methods.backbones.base import Backbone
from methods.data import Task, batch_of
from sweep.stage.task_scores import recall, relevant
from sweep.tasks.world import World


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


@torch.no_grad()
def accuracy(backbone: Backbone, task: Task) -> float:
    """Returns the share of right answers on the task's test split."""
    ids = torch.arange(len(task.test))
    pixels = backbone.pixels(task.test.images(ids.numpy())).to(backbone.device)
    batch = batch_of(task, task.test, ids, pixels)
    return float((backbone.predict(batch) == batch.labels).double().mean())


@torch.no_grad()
def recall_at_1(backbone: Backbone, pairs: Task) -> float:
    """Returns the share of images whose best caption is their own or equal to it."""
    captions = [text for texts in pairs.test.texts or () for text in texts]
    pixels = backbone.pixels(pairs.test.pictures)
    return recall(backbone.match(pixels, captions), relevant(pairs.test), 1)
