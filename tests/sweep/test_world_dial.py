"""The dial: what tasks have in common is what was asked for."""

from itertools import combinations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr

from methods.backbones import load_backbone
from methods.backbones.base import Backbone
from sweep.errors import InputError
from sweep.study.backbones import EMBEDDED
from sweep.tasks.world import Dial


def shared_classes(similarity: float) -> float:
    """Mean share of classes that two tasks have in common."""
    tasks = Dial(similarity=similarity, train=1, test=6).load().tasks.values()
    return float(
        np.mean(
            [len({*a.choices} & {*b.choices}) / len(a.choices) for a, b in combinations(tasks, 2)]
        )
    )


@torch.no_grad()
def centroid_cosine(backbone: Backbone, dial: Dial) -> float:
    """Mean cosine between the mean image embeddings of two tasks."""
    means = []
    for task in dial.load().tasks.values():
        images = task.test.images(np.arange(len(task.test.labels)))
        means.append(backbone.embed_images(backbone.pixels(images)).mean(0))
    pairs = combinations(means, 2)
    return float(np.mean([torch.cosine_similarity(a, b, dim=0).item() for a, b in pairs]))


@pytest.mark.parametrize("similarity", [0.0, 0.5, 1.0])
def test_tasks_share_the_classes_asked_for(similarity: float) -> None:
    assert shared_classes(similarity) == similarity


def test_every_task_has_all_its_classes() -> None:
    for name, task in Dial(num_tasks=3, classes=5, similarity=0.4, train=1).load().tasks.items():
        assert len(set(task.choices)) == 5, name


@pytest.mark.parametrize("seed", [0, 1])
def test_image_embeddings_follow_the_dial(seed: int) -> None:
    backbone = load_backbone(str(EMBEDDED / "tiny-clip")).eval()
    settings = np.linspace(0, 1, 6)
    cosines = [
        centroid_cosine(backbone, Dial(similarity=setting, train=1, test=120, seed=seed))
        for setting in settings
    ]
    assert spearmanr(settings, cosines).statistic >= 0.8
    assert cosines[-1] > cosines[0] + 0.1


def test_too_many_classes_are_refused() -> None:
    with pytest.raises((InputError, ValidationError), match="at most 36"):
        Dial(num_tasks=7, classes=6)
