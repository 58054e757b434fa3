"""What the checks look at: readings, losses, distances of states, answers."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from methods.backbones.base import Reading
from methods.base import Method, State
from methods.data import Task, batch_of
from methods.testing.tiny_models import SIZE, WORDS
from methods.testing.workbench import with_updates
from sweep.stage.trainer import Trainer
from sweep.stage.worker import Result


@torch.no_grad()
def answers_by_name(trainer: Trainer, task: Task, names: Sequence[str]) -> list[Tensor]:
    """Returns the answers to a task's test samples, int64 [N] each, as of no task and by names.

    Each time `select` is given the name, and the samples say that they are of a task of that name.
    """
    method, ids = trainer.method.eval(), torch.arange(len(task.test))
    pixels = trainer.images("test", task)[task.test.shown]
    batch = batch_of(task, task.test, ids, pixels.to(trainer.accelerator.device))
    found = []
    for name in (None, *names):
        method.select(name)
        found.append(method.predict(replace(batch, task=replace(task, name=name or "none"))))
    method.select(None)
    return found


@torch.no_grad()
def readings_of(method: Method) -> dict[Reading, Tensor]:
    """Returns embeddings of an image and of a text, as of no task."""
    backbone = method.eval().backbone
    method.select(None)
    pixels = torch.arange(3 * SIZE**2).view(1, 3, SIZE, SIZE).remainder(256).to(torch.uint8)
    return {"images": backbone.embed_images(pixels), "texts": backbone.embed_texts(WORDS)}


def loss_on(task: str, result: Result) -> float:
    """Returns the loss on the test samples of a task, in nats."""
    (row,) = [
        row
        for row in result.record.scores
        if (row["split"], row["eval_task"], row["metric"]) == ("alignment", task, "loss")
    ]
    return float(row["value"])


def distance(one: State, other: State) -> float:
    """Returns the Euclidean distance of all weights, relative to the length of the second.

    Of methods without weights it is that of all they keep. Biases of keys are left out: softmax
    cancels them, so that their gradient is rounding noise, which AdamW scales up.
    """
    one, other = with_updates(one), with_updates(other)
    names = [
        name
        for name in one
        if name.startswith(("weights/", "extra/merged/")) and not name.endswith("k_proj.bias")
    ] or list(one)
    first, second = (torch.cat([state[name].flatten() for name in names]) for state in (one, other))
    return float((first - second).norm() / second.norm())
