"""The base of all methods that merge experts into one model: theta_0 plus a merged task vector.

Experts are those that `individual` trains, each from the untouched backbone on one task, so that
all ways of merging them share their trainings. A method may instead merge the states that a
sequential training leaves after each task (`depends_on`, `reuses_training_of`). Task vectors are in
task_vectors.py.

All weights that are trained are merged, by default those of both towers. Papers on CLIP train and
merge the image tower alone, as `towers: [vision]` does. Experts of others hold what they have
trained, such as the image tower: then nothing else is merged.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from methods.base import DependsOn, Method, State
from methods.baselines.finetune import FineTune
from methods.baselines.individual import Individual
from methods.data import Stage
from methods.held_tensors import on_disk
from methods.merging.task_vectors import ADAPTED, TaskVectors


class Merging(FineTune):
    """Train experts, then become one model made of all of them."""

    depends_on: ClassVar[DependsOn] = "task"
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "set"
    resumable: ClassVar[bool] = True
    reuses_training_of: ClassVar[type[Method] | None] = Individual

    def build(self) -> None:
        """Start with nothing merged."""
        super().build()
        self._adapted = on_disk(
            {
                name: weight.detach().to("cpu", copy=True)
                for name, weight in self.named_parameters()
                if name.endswith(ADAPTED)
            }
        )
        """What adapters are merged into, untouched."""
        self._moved: frozenset[str] | None = None
        """The weights that differ from the untouched backbone; None: that is not known."""

    def changed(self) -> list[str]:
        """Returns what experts train, and the weights that their adapters are merged into."""
        merged = [name for name, _ in self.named_parameters() if name.endswith(ADAPTED)]
        return [*self.trainable(), *merged]

    @abstractmethod
    def merge(self, vectors: TaskVectors) -> Mapping[str, Tensor]:
        """Returns the vector to add to the untouched backbone.

        A rule for one weight after the other returns `vectors.each(rule)`, with which no more than
        one weight of all experts is on the device at a time, beside the model itself.
        """

    @torch.no_grad()
    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Become theta_0 plus the merged vector."""
        self.become(self.merge(self.vectors(experts, stage)))

    def vectors(self, experts: Mapping[str, State], stage: Stage) -> TaskVectors:
        """Returns the task vectors of experts; where only the set counts, sorted by task.

        Sums then round alike, and ties fall alike, however the experts come.
        """
        if self.combines_over == "set":
            experts = dict(sorted(experts.items()))
        names = [name for name, _ in self.named_parameters() if name.endswith(ADAPTED)]
        return TaskVectors(
            experts=experts,
            start=self._initial,
            weights=tuple(names if self.adapter else self._held(experts)),
            adapter=self.adapter,
            device=self.backbone.device,
            seed=stage.replicate_seed,
        )

    def _held(self, experts: Mapping[str, State]) -> list[str]:
        """Returns the weights that experts hold; they all hold the same."""
        held = next(iter(experts.values()))
        return [name for name in self.trainable() if f"weights/{name}" in held]

    @torch.no_grad()
    def become(self, vector: Mapping[str, Tensor]) -> None:
        """Put theta_0 + `vector` in place, weight by weight; an adapter then does nothing."""
        if self._moved is None:
            self.load_state(self._initial)
            self._moved = frozenset()
        weights = dict(self.named_parameters())
        for name in self._moved - vector.keys():
            weights[name].copy_(self._untouched(name))
        for name, change in vector.items():
            if name in self._moved:
                weights[name].copy_(self._untouched(name))
            weights[name].add_(change.to(self.backbone.device))
            # If a rule fails on the way, what has been put in place has to be undone later.
            self._moved |= {name}
        self._moved = frozenset(vector)

    def _untouched(self, name: str) -> Tensor:
        if name in self._adapted:
            return self._adapted[name]
        return self._initial[f"weights/{name}"]

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Return to a state, and undo what was merged into frozen weights."""
        weights = dict(self.named_parameters())
        for name in (self._moved or frozenset()) & self._adapted.keys():
            weights[name].copy_(self._adapted[name])
        self._moved = None
        super().load_state(state)
