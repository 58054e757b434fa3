"""What the backbone sees in the images of a task: for methods that fit something to features."""

from collections.abc import Iterator

import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Batch, Stage
from methods.parallel import sum_over_workers

_IMAGES_AT_ONCE = 256
"""Bounds memory where sums over images do not depend on how these are divided into batches."""


def training_batches(stage: Stage) -> Iterator[Batch]:
    """This worker's share of all training samples of the stage's task, for sums over images."""
    data = stage.tasks[stage.task]
    ids = stage.shard(torch.arange(len(data)))
    return (data.batch(some) for some in torch.split(ids, _IMAGES_AT_ONCE))


@torch.no_grad()
def image_features(backbone: Backbone, stage: Stage) -> Tensor:
    """Returns the untouched backbone's image embeddings of all training samples of the task.

    Batches are the same for any number of workers, which share them out; a sum in which all but one
    addend are zero is exact. So every worker gets what one alone would compute, bit for bit.

    Returns:
        float32 [N, D], on the backbone's device; in the precision of the weights.
    """
    data = stage.tasks[stage.task]
    features = torch.zeros(len(data), backbone.width, device=backbone.device)
    batches = torch.split(torch.arange(len(data)), stage.batch_size)
    with backbone.without_dropout():
        for ids in batches[stage.rank :: stage.world_size]:
            pixels = data.batch(ids).pixels
            features[ids.to(features.device)] = backbone.untouched(pixels).float()
    sum_over_workers([features])
    return features
