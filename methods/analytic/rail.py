"""RAIL: ridge regression on frozen image features, fused with the untouched backbone.

Xu et al., "Advancing Cross-domain Discriminability in Continual Learning of Vision-Language Models"
(NeurIPS 2024, arXiv 2406.18868). The backbone stays as it is. An adapter is fitted in closed form
to its image embeddings, with one-hot targets over the classes of all tasks learnt so far
(`ridge.py`: primal with a random layer of ReLUs, dual with an RBF kernel), and a sample whose
domain was learnt gets

    (1 - beta) softmax(zero-shot logits) + beta adapter,    beta = 0.8,

every other one the zero-shot logits alone. Where the zero-shot prediction falls decides on the
domain (section 3.4 of the paper).

The paper updates the solution recursively, task by task (its theorems 1 and 2), and proves that the
result is that of all tasks at once. Here every task is summed up by itself, once for all orders,
and any set of tasks is one sum and one solve: the same predictor without the round-off that the
recursion gathers. So a stage takes no optimiser steps. A target is a class: it learns only tasks
that have some.

Left open there and decided here:
- `task: known`, the default, is the protocol of this engine, in which a sample comes with its
  task: if that was learnt its domain was, and all choices are the task's own. The adapter is the
  same; other tasks take part in it as examples of no choice.
- `task: inferred` is the paper's protocol, without known tasks, as far as a stage can tell. The
  untouched backbone decides among the choices of all tasks learnt and, where some of those offered
  are new, the ones that are offered (in the paper also those of tasks not learnt yet); so it is for
  the held-out suites. A choice that reads like one that is offered counts as that one, any other as
  none (-1).
- The random layer belongs to the replicate. It has 4096 units, where the authors have 15000: what
  is kept of a task grows with their square, 0.13 GB against 1.8 GB.
- The dual form needs a matrix of all pairs of training samples, 848 GB for the whole of MTIL's
  data, the primal form one of all pairs of units. Beyond 64 GiB, 92 681 samples or units, either is
  refused before anything starts. Solving takes twice as much, which `sweep check` holds against
  what this machine has.
- All training samples are used (16 per class in the paper), each as the backbone's image processor
  prepares it, in the precision of the weights. The adapter sees the image alone, whatever is asked
  about it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from methods.analytic.ridge import Dual, Primal, Ridge
from methods.backbones.base import Family, Tower, highest
from methods.base import DependsOn, Method, MethodConfig, State, part_of
from methods.data import Batch, Stage, Task
from methods.seeds import derive_seed
from methods.tools.image_features import image_features

_MOST_ROWS = math.isqrt(2**36 // 8)
"""Of a square matrix of float64 in 64 GiB, which solving needs twice: what large devices have."""


class RAILConfig(MethodConfig):
    """Options of `rail`."""

    lr: None = Field(default=None, description="There are no steps to take at any rate.")
    form: Literal["primal", "dual"] = Field(
        default="primal",
        description="Primal: cost grows with width; dual: with the number of training samples.",
    )
    ridge: float | None = Field(
        default=None, gt=0, description="lambda; null: 0.1 in the primal form, 0.001 in the dual."
    )
    width: int = Field(
        default=4096,
        ge=1,
        le=_MOST_ROWS,
        description="Random units; only in the primal form.",
    )
    gamma: float = Field(
        default=0.1, gt=0, description="Of the kernel exp(-gamma d^2); only in the dual form."
    )
    beta: float = Field(
        default=0.8, ge=0, le=1, description="Weight of the adapter; the rest is zero-shot."
    )
    task: Literal["known", "inferred"] = Field(
        default="known",
        description="Whether a sample's domain was learnt is known from its task, or decided by "
        "the untouched backbone among the choices of all tasks.",
    )


class RAIL(Method):
    """Fit an adapter to the frozen features of all tasks at once."""

    Config = RAILConfig
    config: RAILConfig
    needs_classes: ClassVar[bool] = True
    reads_pixels: ClassVar[bool] = False
    depends_on: ClassVar[DependsOn] = "task"
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "set"

    def build(self) -> None:
        """Start with no task learnt."""
        self.regression = self._regression()
        self.summary: State = {}
        self.learnt: dict[str, Task] = {}
        self.solution: State = {}

    def _regression(self) -> Ridge:
        if self.config.form == "primal":
            return Primal(self.config.ridge or 0.1, self.config.width)
        return Dual(self.config.ridge or 0.001, self.config.gamma)

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns whether the task says if its domain was learnt."""
        return isinstance(config, RAILConfig) and config.task == "known"

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns none: the adapter is outside of the backbone."""
        return frozenset()

    @classmethod
    def most_samples(cls, config: MethodConfig) -> int | None:
        """Returns, of the dual form, how many samples a matrix of all pairs has room for."""
        assert isinstance(config, RAILConfig)
        return _MOST_ROWS if config.form == "dual" else None

    def trainable(self) -> list[str]:
        """Returns no names: nothing is trained step by step."""
        return []

    @classmethod
    def tasks_trained_on(cls, prefix: tuple[str, ...]) -> tuple[str, ...]:
        """Returns no task: nothing is learnt step by step."""
        return ()

    def loss(self, batch: Batch) -> Tensor:
        """There is none, as there are no steps."""
        raise TypeError("rail has a closed form and minimises nothing step by step")

    def after_task(self, stage: Stage) -> None:
        """Sum the task up."""
        features = image_features(self.backbone, stage).double()
        task = stage.tasks[stage.task].task
        labels = torch.from_numpy(task.train.labels).to(features.device)
        targets = one_hot(labels, len(task.choices)).double()
        seed = derive_seed(stage.replicate_seed, "rail")
        self.summary = self.regression.summarise(features, targets, seed)

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Solve for all tasks at once."""
        summaries = {task: part_of(experts[task], "extra/") for task in sorted(experts)}
        self.summary = {}
        self.learnt = {task: stage.tasks[task].task for task in summaries}
        self.solution = self.regression.solve(summaries, self.backbone.device)

    @torch.no_grad()
    def predict(self, batch: Batch) -> Tensor:
        """Returns the best fused choice if the domain was learnt, else the untouched backbone's."""
        choices, tasks = batch.task.choices, self._tasks(batch.task)
        if not tasks.keys() & self.learnt.keys():
            return self.backbone.predict(batch)
        logits = [self.backbone.logits(replace(batch, task=task)) for task in tasks.values()]
        belief = torch.cat(logits, dim=1).double().softmax(dim=1)
        fused = belief.lerp(self._adapter(batch, tasks), self.config.beta)
        columns = [(name, choice) for name, task in tasks.items() for choice in task.choices]
        learnt = torch.tensor([name in self.learnt for name, _ in columns], device=belief.device)
        meant = torch.tensor(
            [choices.index(choice) if choice in choices else -1 for _, choice in columns],
            device=belief.device,
        )
        decided = learnt[belief.argmax(dim=1)].unsqueeze(1)
        chosen = highest(torch.where(decided, fused, belief), batch.ids)
        return meant[chosen.clamp(min=0)].where(chosen >= 0, chosen)

    def _tasks(self, asked: Task) -> Mapping[str, Task]:
        """Returns the tasks among whose choices is decided; "": choices that were not learnt."""
        if self.config.task == "known":
            return {asked.name: asked}
        known = {choice for task in self.learnt.values() for choice in task.choices}
        return self.learnt if known.issuperset(asked.choices) else {"": asked} | self.learnt

    def _adapter(self, batch: Batch, tasks: Mapping[str, Task]) -> Tensor:
        """Returns the regression's output per choice, 0 if not learnt: float64 [B, sum C]."""
        features = self.backbone.embed_images(batch.pixels).double()
        lifted = self.regression.lift(features, self.solution["points"])
        return torch.cat(
            [
                lifted @ self.solution[f"weights/{name}"]
                if name in self.learnt
                else lifted.new_zeros(len(batch), len(task.choices))
                for name, task in tasks.items()
            ],
            dim=1,
        )

    def extra_state(self) -> State:
        """Returns the summary of the task; solutions are made of summaries and not kept."""
        return self.summary

    def load_extra_state(self, state: State) -> None:
        """Return to a summary, or to nothing."""
        self.summary, self.learnt, self.solution = state, {}, {}
