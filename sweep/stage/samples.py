"""Reads the test samples of a benchmark for evaluation and diagnostics."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from methods.backbones.base import UNDECIDED
from methods.data import Batch, Task, batch_of
from methods.seeds import derive_seed
from sweep.pulse import PULSE
from sweep.stage.stratified import stratified
from sweep.stage.trainer import Trainer
from sweep.study.evaluation import Evaluation
from sweep.tasks.base import Benchmark
from sweep.tasks.frozen_features import FrozenFeatures
from sweep.tasks.pixels import Pixels


@dataclass(frozen=True, eq=False)
class TaskBatches:
    """This worker's batches of a task, read anew each time they are gone through."""

    samples: "TestSamples"
    task: Task
    """Whose test samples they are."""
    asked: Task
    """As which task they are asked about."""

    def __iter__(self) -> Iterator[Batch]:
        return (replace(batch, task=self.asked) for batch in self.samples.batches(self.task))


class TestSamples:
    """Prepared test images of tasks and probes; each worker takes its share of them."""

    __test__ = False  # keeps pytest from collecting it because of its name

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self._pixels: dict[str, Pixels] = {}
        self._images: dict[str, Pixels | FrozenFeatures] = {}

    def batches(self, task: Task) -> Iterator[Batch]:
        """Yields this worker's share of a task's test samples."""
        images, split = self.images(task), task.test
        device = self.trainer.accelerator.device
        for ids in self.shares(len(split)):
            shown = images[split.shown[ids.numpy()]].to(device, non_blocking=True)
            yield batch_of(task, split, ids, shown)

    def gathered(self, task: Task, answers: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Returns the answers of all workers to the samples of a task: int64 [N], on the CPU.

        Args:
            task: The task.
            answers: This worker's: ids of samples, and what was answered to them.

        Raises:
            FloatingPointError: scores of a sample were not finite; on every worker.
        """
        given = torch.empty(len(task.test), dtype=torch.int64)
        for ids, part in gather_object([(ids, part.cpu()) for ids, part in answers]):
            given[ids] = part
        if undecided := int((given == UNDECIDED).sum()):
            raise FloatingPointError(
                f"the choices of task '{task.name}' have scores that are NaN or infinite, for "
                f"{undecided} of {len(given)} test samples; lower the learning rate, or mend the "
                "method"
            )
        return given

    def pixels(self, task: Task) -> Pixels:
        """Returns the prepared test images of a task, to look at; see `images`."""
        if task.name not in self._pixels:
            self._pixels[task.name] = self.trainer.pixels("test", task)
        return self._pixels[task.name]

    def images(self, task: Task) -> Pixels | FrozenFeatures:
        """Returns what batches are given of the test images of a task: pixels, or features."""
        if not self.trainer.sees_features:
            return self.pixels(task)
        if task.name not in self._images:
            self._images[task.name] = self.trainer.images("test", task)
        return self._images[task.name]

    def shares(self, count: int) -> Iterator[Tensor]:
        """Yields this worker's sample ids, in batches."""
        accelerator = self.trainer.accelerator
        ids = torch.arange(accelerator.process_index, count, accelerator.num_processes)
        for some in torch.split(ids, self.trainer.study.evaluation.batch_size):
            yield some
            PULSE.beat()

    def image_embeddings(self, task: Task, ids: Tensor) -> Tensor:
        """Returns embeddings of some test images, on every worker: float32 [N, D], on the CPU."""
        backbone, images = self.trainer.backbone, []
        for part in torch.split(ids, self.trainer.study.evaluation.batch_size):
            pixels = self.images(task)[task.test.shown[part.numpy()]].to(backbone.device)
            images.append(backbone.embed_images(pixels).float().cpu())
            PULSE.beat()
        return torch.cat(images)

    def text_embeddings(self, task: Task) -> Tensor:
        """Returns embeddings of the texts of all choices, template by template: float32 [N, D]."""
        backbone = self.trainer.backbone
        return backbone.embed_texts(backbone.texts(task)).float().cpu()


def with_fewer_samples(benchmark: Benchmark, evaluation: Evaluation) -> Benchmark:
    """Returns a benchmark with at most `evaluation.samples` test samples of every task and probe.

    They are a fixed function of the test split, the task's name and `evaluation.seed`. Of `pairs`
    pictures are drawn, with all their captions.
    """
    if evaluation.samples is None:
        return benchmark
    most = evaluation.samples

    def fewer(task: Task) -> Task:
        split, seed = task.test, derive_seed(evaluation.seed, "test", task.name)
        of = len(split.pictures) if task.kind == "pairs" else len(split)
        if of <= most:
            return task
        if task.kind != "pairs":
            ids = stratified(split.labels, most, seed)
        else:
            ids = np.flatnonzero(np.isin(split.shown, stratified(np.zeros(of, int), most, seed)))
        return replace(task, test=split.part(ids), tested_of=of)

    return Benchmark(
        {name: fewer(task) for name, task in benchmark.tasks.items()},
        {name: fewer(task) for name, task in benchmark.probes.items()},
    )


def spread(count: int, most: int) -> Tensor:
    """Returns at most so many of `count` sample ids, evenly spaced: int64 [N].

    >>> spread(10, 4)
    tensor([0, 3, 6, 9])
    """
    return torch.linspace(0, count - 1, min(most, count)).round().long()
