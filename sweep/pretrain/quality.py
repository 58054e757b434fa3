"""Measures how good a pretrained dual encoder is before any task is trained."""

import numpy as np
import torch

from methods.backbones.base import Backbone
from methods.data import Batch, Retrieval, Task
from sweep.stage.evaluator import recall
from sweep.tasks.world import World


@torch.no_grad()
def figures(backbone: Backbone) -> dict[str, float]:
    """Returns zero-shot accuracy on the world's tasks and suites, their means, and recall at 1."""
    world = World(train=1).load()
    tasks = {name: accuracy(backbone, task) for name, task in world.tasks.items()}
    suites = {name: accuracy(backbone, task) for name, task in world.probes.items()}
    (pairs,) = world.retrieval.values()
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
    labels = torch.from_numpy(task.test.labels)
    ids = torch.arange(len(labels))
    pixels = backbone.pixels(task.test.images(ids.numpy()))
    batch = Batch(task, pixels.to(backbone.device), labels.to(backbone.device), ids)
    return float((backbone.predict(batch) == batch.labels).double().mean())


@torch.no_grad()
def recall_at_1(backbone: Backbone, pairs: Retrieval) -> float:
    """Returns the share of images whose best caption is their own or equal to it."""
    captions = np.array(pairs.captions, dtype=object)
    same = torch.from_numpy(np.equal.outer(captions, captions).astype(bool))
    return recall(backbone.match(backbone.pixels(pairs.pixels), pairs.captions), same, 1)
