"""DIKI: a residual attention branch per task, as strong as an image looks like the task's.

Tang et al., "Mind the Interference: Retaining Pre-trained Knowledge in Parameter Efficient
Continual Learning of Vision-Language Models" (ECCV 2024, arXiv 2407.05342). In the first layers of
both towers every task t has keys P_K and values P_V of its own beside a frozen backbone,

    out = Attn(Q, K, V) + w Attn(Q, P_K, P_V),      P_K ~ U(-1, 1) and P_V = 0 at the start,

so that nothing is changed before training. They train with w = 1 on the task alone. At test time
an image with frozen features z gets the prompts of the task with the largest Gaussian density
p_t(z) (see densities.py), weighed by

    w = sigmoid(log p_t(z) / D - 1)

(D = 512 in the authors' code, the width of CLIP's embeddings), so that an image like none of the
tasks' meets the pretrained model. Eight layers, 8 pairs, epsilon = 1e-7 are the authors'; they use
SGD with a learning rate of 5.

Left open there, or different here:

- Every image is routed by itself; the authors' code takes the majority task of a batch, and in the
  text tower the batch's mean w. Here w = 1 in the text tower, and the image's w interpolates
  between its logits with the prompted and with the untouched texts: exact at 0 and 1, and texts are
  embedded once per task instead of once per image.
- In a fusion backbone prompts go to the language model, where image, question and answer meet.
- A text that comes without an image is embedded by the untouched backbone.

Training does not see other tasks: one training per task serves every order.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.backbones.prompting import Route
from methods.base import DependsOn, State
from methods.data import Stage
from methods.prompts.base import Prompted, PromptedConfig, Residuals
from methods.prompts.densities import Densities, moments


class DIKIConfig(PromptedConfig):
    """Options of `diki`."""

    length: int = Field(default=8, ge=1, description="Pairs of key and value in a layer.")
    depth: int = Field(default=8, ge=1, description="How many layers of a tower, from the first.")
    epsilon: float = Field(
        default=1e-7, gt=0, description="Added to the variance of every frozen feature."
    )


class DIKI(Prompted):
    """Train a residual attention branch per task; images go to the task they look like."""

    Config = DIKIConfig
    config: DIKIConfig
    depends_on: ClassVar[DependsOn] = "task"
    combines: ClassVar[Literal["set", "sequence"] | None] = "set"

    def build(self) -> None:
        """Put the prompts of one task into both towers."""
        images, texts = self.backbone.attention("images"), self.backbone.attention("texts")
        layers = dict.fromkeys(images[: self.config.depth] + texts[: self.config.depth])
        self.prompts = Residuals(self.backbone, list(layers), 1, self.config.length)
        self.moments: State = {}

    def reset(self, seed: int) -> None:
        """Draw new keys; without values they change nothing yet."""
        super().reset(seed)
        self.prompts.draw(torch.Generator().manual_seed(seed), keys=1.0, values=0.0)

    def before_task(self, stage: Stage) -> None:
        """Measure where the frozen features of the task lie."""
        self.moments = moments(self.backbone, stage)

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Hold the prompts of all tasks, and let images choose among them."""
        self.load_state(self._initial)
        states = [experts[task] for task in sorted(experts)]
        self.prompts.hold([part_of(state, "weights/prompts.") for state in states])
        self.densities = Densities(
            [part_of(state, "extra/") for state in states],
            self.config.epsilon,
            self.backbone.device,
        )
        self.backbone.prompting.router = self.choose
        self.backbone.prompting.route = None

    def choose(self, query: Tensor) -> Route:
        """The task with the largest density at image embeddings [B, D], and how large it is."""
        density, task = self.densities(query).max(dim=1, keepdim=True)
        weight = torch.sigmoid(density.squeeze(1) / query.shape[1] - 1)
        return Route(task, weight.to(query.dtype))

    def extra_state(self) -> State:
        """Mean and covariance of the frozen features of the task."""
        return self.moments

    def load_extra_state(self, state: State) -> None:
        """Be the expert of one task, for every image."""
        self.moments = state
        self.prompts.hold([])
        self.backbone.prompting.router = None
        self.backbone.prompting.route = Route.to(0)


def part_of(state: Mapping[str, Tensor], prefix: str) -> State:
    """The tensors whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
