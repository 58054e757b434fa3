"""Memories of samples to be replayed: which samples of earlier tasks are kept, and how drawn.

Both kinds hold ids of samples, never pixels, and take in a task when its training is over, so that
a task replays only earlier ones. Draws are with replacement, from all that is held.

`reservoir`: Vitter, "Random Sampling with a Reservoir" (1985), algorithm R. The n-th sample met is
kept with probability size / n, so that the memory is a uniform draw from all samples met. They are
met in the order of their first appearance in training: what is kept depends on the order of tasks.

`balanced`: what is kept depends on which tasks were learnt, and not on their order. The training
samples of a task are ranked once, at random but with all classes in turn, by a seed of replicate
and task; the memory holds the beginning of each ranking. Tasks get equal shares. Where a task has
fewer samples than its share, or the size does not divide, the rest goes to the larger tasks, and
among equals to the last by name. Shares only shrink as tasks come in, so that nothing returns.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from itertools import zip_longest
from typing import Literal

import numpy as np
import torch

from methods.base import State
from methods.data import Batch, BatchPart, Stage
from methods.seeds import derive_seed

BufferKind = Literal["balanced", "reservoir"]
Item = tuple[str, int]
"""A task, and the id of one of its training samples."""


class Buffer(ABC):
    """A bounded memory of samples of earlier tasks."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: list[Item] = []

    @abstractmethod
    def take_in(self, stage: Stage) -> None:
        """Make room for the task that `stage` has learnt."""

    def draw(
        self, stage: Stage, generator: torch.Generator, undivided: Collection[str] = ()
    ) -> list[Item]:
        """Returns this worker's share of a random batch as large as the stage's.

        Nothing is drawn from an empty memory. All that is drawn from the tasks `undivided` goes to
        every worker.
        """
        if not self.items:
            return []
        slots = torch.randint(len(self.items), (stage.batch_size,), generator=generator)
        share = set(stage.shard(torch.arange(len(slots))).tolist())
        met = [self.items[slot] for slot in slots.tolist()]
        return [item for place, item in enumerate(met) if place in share or item[0] in undivided]

    def state(self) -> State:
        """Returns, per task, the slots it holds and the samples in them: int64 [n, 2]."""
        return {
            f"memory/{task}": torch.tensor(
                [(slot, i) for slot, (name, i) in enumerate(self.items) if name == task]
            )
            for task in dict.fromkeys(task for task, _ in self.items)
        }

    def load_state(self, state: State) -> None:
        """Put every sample back into its slot; entries that are not the buffer's are ignored."""
        slots = {
            slot: (name.removeprefix("memory/"), sample)
            for name, held in state.items()
            if name.startswith("memory/")
            for slot, sample in held.tolist()
        }
        self.items = [slots[slot] for slot in range(len(slots))]


class Replay:
    """What a stage draws from a memory: a batch in every step, by task."""

    def __init__(
        self, buffer: Buffer, stage: Stage, draws: torch.Generator, undivided: Collection[str]
    ) -> None:
        """Draw nothing yet; the arguments are those of `Buffer.draw`."""
        self._buffer, self._stage = buffer, stage
        self._draws, self._undivided = draws, undivided
        self._drawn: list[Item] = []

    def recall(self, part: BatchPart | None) -> list[Batch]:
        """Returns the next batch, one part per task.

        A part of a step gets the part of the step's draw at the places of its own samples: as many
        as it has itself, so that means over parts make up those over all that was drawn.
        """
        if part is None or part.is_first:
            self._drawn = self._buffer.draw(self._stage, self._draws, self._undivided)
        some = by_task(self._drawn[part.start : part.stop] if part else self._drawn)
        return [self._stage.tasks[task].batch(torch.tensor(ids)) for task, ids in some.items()]


class Reservoir(Buffer):
    """A uniform draw from all samples met in training."""

    seen = 0

    def take_in(self, stage: Stage) -> None:
        """Run algorithm R over the samples of this task."""
        generator = stage.generator("reservoir")
        met = dict.fromkeys((task, i) for task, ids in stage.stream for i in ids.tolist())
        for item in met:
            self.seen += 1
            if len(self.items) < self.size:
                self.items.append(item)
                continue
            slot = int(torch.randint(self.seen, (1,), generator=generator))
            if slot < self.size:
                self.items[slot] = item

    def state(self) -> State:
        """Also how many samples were met."""
        return super().state() | {"seen": torch.tensor(self.seen)}

    def load_state(self, state: State) -> None:
        """Take over what `state` gave."""
        super().load_state(state)
        self.seen = int(state["seen"])


class Balanced(Buffer):
    """The same for every order: equal shares of tasks, and of classes within a task."""

    def take_in(self, stage: Stage) -> None:
        """Hold the beginning of the ranking of every task."""
        labels = {task: stage.tasks[task].task.train.labels for task in stage.prefix}
        shares = share_out(self.size, {task: len(labels[task]) for task in labels})
        self.items = [
            (task, i)
            for task, share in shares.items()
            for i in rank(labels[task], derive_seed(stage.replicate_seed, "memory", task))[:share]
        ]


def rank(labels: np.ndarray, seed: int) -> list[int]:
    """Returns all samples, one of each class in turn.

    Every beginning of the ranking holds all classes that still have samples equally often, give or
    take one.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    parts = np.split(by_class, np.cumsum(np.bincount(labels))[:-1])
    turns = zip_longest(*(parts[label].tolist() for label in rng.permutation(len(parts))))
    return [sample for turn in turns for sample in turn if sample is not None]


def share_out(size: int, available: Mapping[str, int]) -> dict[str, int]:
    """Returns how many of `size` places each task gets that has so many samples; by name."""
    shares = {}
    smallest_first = sorted(available, key=lambda task: (available[task], task))
    for k, task in enumerate(smallest_first):
        shares[task] = min(available[task], size // (len(available) - k))
        size -= shares[task]
    return dict(sorted(shares.items()))


def by_task(items: Iterable[Item]) -> dict[str, list[int]]:
    """Returns the ids of each task's samples, in the order of `items`."""
    ids: dict[str, list[int]] = {}
    for task, sample in items:
        ids.setdefault(task, []).append(sample)
    return ids


BUFFERS: Mapping[BufferKind, type[Buffer]] = {"balanced": Balanced, "reservoir": Reservoir}
