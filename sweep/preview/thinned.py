"""Takes few samples of every task, to try a study out in seconds however large its data are."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from methods.data import Images, Retrieval, Split, Task
from sweep.stage.samples import spread
from sweep.tasks.base import Benchmark


class ThinSplit:
    """Evenly spaced samples of a split."""

    def __init__(self, split: Split, most: int) -> None:
        self._split = split
        self._ids = spread(len(split.labels), most).numpy()
        self.labels = split.labels[self._ids]
        asked = split.questions
        self.questions: Sequence[str] | None = asked and [asked[i] for i in self._ids.tolist()]

    def images(self, ids: np.ndarray) -> Images:
        """Returns the images of the samples `ids`."""
        return self._split.images(self._ids[ids])


def thinned(benchmark: Benchmark, most: int, first: int) -> Benchmark:
    """Returns a benchmark with the same tasks and few samples of each.

    Args:
        benchmark: The whole one.
        most: Samples of a split, at most.
        first: The same for the first task: as many as are evaluated at once, which takes most
            memory.
    """

    def thin(task: Task, most: int) -> Task:
        return replace(task, train=ThinSplit(task.train, most), test=ThinSplit(task.test, most))

    def of_pairs(pairs: Retrieval) -> Retrieval:
        ids = spread(len(pairs.captions), most).numpy()
        pixels = pairs.pixels
        chosen = pixels[ids] if isinstance(pixels, np.ndarray) else [pixels[i] for i in ids]
        return Retrieval(pairs.name, chosen, tuple(pairs.captions[i] for i in ids))

    return Benchmark(
        {
            name: thin(task, first if i == 0 else most)
            for i, (name, task) in enumerate(benchmark.tasks.items())
        },
        {name: thin(task, most) for name, task in benchmark.probes.items()},
        {name: of_pairs(pairs) for name, pairs in benchmark.retrieval.items()},
    )


def num_tested(benchmark: Benchmark) -> int:
    """Returns how many test samples an evaluation goes through."""
    suites = (*benchmark.tasks.values(), *benchmark.probes.values())
    pairs = (len(part.captions) for part in benchmark.retrieval.values())
    return sum(len(task.test.labels) for task in suites) + sum(pairs)
