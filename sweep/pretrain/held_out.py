"""Measures what a backbone knows of pictures whose names no pretraining has shown."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from analysis.inference.intervals import Interval, t_interval
from methods.backbones.dual_encoder import DualEncoder
from methods.data import Task, batch_of
from sweep.pretrain.picture_pairs import read_pairs
from sweep.pretrain.room_to_learn import room, short_study
from sweep.stage.task_scores import found_among


@dataclass(frozen=True)
class PictureFigures:
    """What is measured of a backbone for pictures."""

    captions: int
    """Different captions of the retrieval pairs."""
    recall: Mapping[int, tuple[Interval, float]]
    """By k, recall at k of these captions, and that by chance."""
    untouched: Mapping[str, Interval]
    """Accuracy by task before any training; its mean is over names, so that it may differ a little
    from the score in `room`."""
    chance: Mapping[str, float]
    room: Mapping[str, Mapping[str, float]]
    """By task, see `sweep.pretrain.room_to_learn.room`."""


def picture_figures(
    backbone: DualEncoder, folder: Path, table: Path, benchmark: Mapping[str, Any]
) -> PictureFigures:
    """Returns all that is measured of a backbone for pictures.

    Args:
        backbone: The model.
        folder: Where it is written.
        table: The pictures that there are.
        benchmark: Section of a study with tasks made of them.
    """
    tasks = short_study(str(folder), benchmark, "finetune").benchmark.load().tasks
    recall = {k: caption_recall(backbone, table, k) for k in (1, 5)}
    return PictureFigures(
        captions=round(1 / recall[1][1]),
        recall=recall,
        untouched={name: task_accuracy(backbone, task, table) for name, task in tasks.items()},
        chance={name: 1 / len(task.choices) for name, task in tasks.items()},
        room=room(str(folder), benchmark),
    )


@torch.no_grad()
def caption_recall(backbone: DualEncoder, table: Path, k: int) -> tuple[Interval, float]:
    """Returns how often the right caption is among the first k, and how often by chance.

    The captions are those of the pool "retrieval". The interval is over names.
    """
    pairs = read_pairs(table, "retrieval")
    captions = sorted(set(pairs.captions))
    fits = backbone.match(pairs.images, captions)
    right = torch.tensor([[own == caption for caption in captions] for own in pairs.captions])
    return over_names(found_among(fits, right, k), pairs.names), k / len(captions)


@torch.no_grad()
def task_accuracy(backbone: DualEncoder, task: Task, table: Path) -> Interval:
    """Returns the accuracy on a task's test pictures: the mean over names, with its interval."""
    ids = torch.arange(len(task.test))
    images = task.test.images(ids.numpy())
    batch = batch_of(task, task.test, ids, backbone.pixels(images))
    return over_names(backbone.predict(batch) == batch.labels, names_shown(task, table))


def names_shown(task: Task, table: Path) -> list[str]:
    """Returns the names of what a task's test pictures show."""
    rows = pq.read_table(table, columns=["sha256_image", "name"]).to_pylist()
    names = {row["sha256_image"]: row["name"] for row in rows}
    images = task.test.images(np.arange(len(task.test)))
    return [names[hashlib.sha256(np.asarray(image).tobytes()).hexdigest()] for image in images]


def over_names(hits: Tensor, names: Sequence[str]) -> Interval:
    """Returns the mean over names of their shares of hits, with its 95 % interval.

    Drawings of one name are no independent samples; names are.

    >>> found = over_names(torch.tensor([True, True, False, False]), ["owl", "owl", "bee", "pie"])
    >>> round(found.mean, 2)
    0.33
    """
    by_name: dict[str, list[float]] = {}
    for hit, name in zip(hits.tolist(), names, strict=True):
        by_name.setdefault(name, []).append(float(hit))
    return t_interval([float(np.mean(own)) for own in by_name.values()]).inside(0, 1)
