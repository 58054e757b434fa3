"""Prompts of its own for every task, which images choose by their density, and weigh by it.

What DIKI (diki.py) and DPW (dpw.py) have in common. The prompts of a task train with weight w = 1
on the task alone, beside a frozen backbone. At test time an image with frozen features z gets the
prompts of the task with the largest Gaussian density p_t(z) (see densities.py), weighed by

    w = sigmoid(log p_t(z) / D - 1)

(D = 512 in both authors' code, the width of CLIP's embeddings), so that an image like none of the
tasks' meets the pretrained model. epsilon = 1e-7 is the authors'.

Different from both, or left open there:

- Where a task has hardly more training images than features, its density all but vanishes at any
  other image, and so does w; a larger `epsilon` widens it.
- Every image is routed by itself; the authors' code takes the majority task of a batch, and in the
  text tower the batch's mean w. Here w = 1 in the text tower, and the image's w interpolates
  between its logits with the prompted and with the untouched texts: exact at 0 and 1, and texts are
  embedded once per task instead of once per image.
- In a fusion backbone prompts go to the language model, where image, question and answer meet.
- A text that comes without an image is embedded by the untouched backbone.
- Prompts train as everything does here, by AdamW; the authors use SGD.

Training does not see other tasks: one training per task serves every order.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.backbones.prompting import Route
from methods.base import DependsOn, State, part_of
from methods.data import Batch, Stage
from methods.prompts.base import Prompts
from methods.prompts.densities import Densities, moments
from methods.tools.frozen_backbone import FrozenBackbone, FrozenBackboneConfig


class RoutedConfig(FrozenBackboneConfig):
    """Options of methods whose images choose prompts by density."""

    length: int = Field(default=8, ge=1, description="Prompts in a layer, or in each of its heads.")
    epsilon: float = Field(
        default=1e-7,
        gt=0,
        description="Added to the variance of every frozen feature; try 1e-4 for a task with fewer "
        "training images than the backbone has features.",
    )


class Routed(FrozenBackbone):
    """Train prompts per task; images go to the task they look like."""

    Config: ClassVar[type[RoutedConfig]] = RoutedConfig
    config: RoutedConfig
    depends_on: ClassVar[DependsOn] = "task"
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "set"
    resumable: ClassVar[bool] = True
    prompts: Prompts

    def build(self) -> None:
        """Start with nothing measured."""
        self.measured: State = {}
        self.learnt: list[str] = []

    def layers(self, depth: int) -> Sequence[str]:
        """Returns the first attention layers of both towers, or of the language model."""
        images, texts = self.backbone.attention("images"), self.backbone.attention("texts")
        return list(dict.fromkeys(images[:depth] + texts[:depth]))

    def reset(self, seed: int) -> None:
        """Begin with new prompts."""
        super().reset(seed)
        self.draw(torch.Generator().manual_seed(seed))

    @abstractmethod
    def draw(self, generator: torch.Generator) -> None:
        """Draw new prompts."""

    def before_task(self, stage: Stage) -> None:
        """Measure where the frozen features of the task lie."""
        self.measured = moments(self.backbone, stage)

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Hold the prompts of all tasks, and let images choose among them."""
        self.load_state(self._initial)
        self.learnt = sorted(experts)
        states = [experts[task] for task in self.learnt]
        measured = [part_of(state, "extra/") for state in states]
        trained = [part_of(state, "weights/prompts.") for state in states]
        self.prompts.hold([one | other for one, other in zip(trained, measured, strict=True)])
        self.densities = Densities(measured, self.config.epsilon, self.backbone.device)
        self.backbone.prompting.router = self.choose
        self.backbone.prompting.route = None

    def choose(self, query: Tensor) -> Route:
        """Returns the task with the largest density at embeddings [B, D], and its weight."""
        density, task = self.densities(query).max(dim=1, keepdim=True)
        return Route(task, self.weight(density.squeeze(1)).to(query.dtype))

    def weight(self, density: Tensor) -> Tensor:
        """Returns the weights w of log densities, in the same shape."""
        return torch.sigmoid(density / self.backbone.width - 1)

    def routing(self, batch: Batch) -> dict[str, Tensor]:
        """Returns the weight of the task that every image looks like."""
        route = self.backbone.route(batch.pixels) if self.learnt else None
        return route.shares(self.learnt) if route else {}

    def extra_state(self) -> State:
        """Returns what was measured of the task."""
        return self.measured

    def load_extra_state(self, state: State) -> None:
        """Be the expert of one task, for every image."""
        self.measured, self.learnt = state, []
        self.prompts.hold([])
        self.backbone.prompting.router = None
        self.backbone.prompting.route = Route.to(0)
