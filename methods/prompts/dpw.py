"""DPW: prefixes per task that every token weighs by itself, and an adapter for the rest.

Jang, Kwon and Lee, "Enhancing Continual Learning of Vision-Language Models via Dynamic Prefix
Weighting" (CVPR 2026, arXiv 2604.18075). Every layer of both towers gets gated prefixes and an
adapter (gates.py), a set of its own for every task; routed.py says how images choose a task, what
w is, and what differs from the authors' code there. At test time an image that is not surely of
its task, by its w, keeps only the gates that its first token speaks for, CLIP's class token: a gate
g_m counts if

    g_m > 1 - sigmoid(log N(s_m; mu_m, sigma_m^2)),

with s_m the score of the first token, and mu and sigma^2 those of the task's training images.
Numbers are those of the authors' code: 8 prefixes in all 12 layers, a bottleneck of 64; offsets of
-4 for images and -2 for texts, so that next to nothing is changed before training. They use SGD
with a rate of 1.25.

Different here, or simplified:

- An image is surely of a task if its w is no smaller than that of 99 % of the task's images would
  be, were they Gaussian (`sure`). The authors' w >= 0.825 is a number for CLIP's 512 features: w
  depends on how many there are.
- Heads are as many as the layer's attention has, or `heads`. The authors take more for tasks whose
  zero-shot accuracy is low; then weights of different tasks would have different shapes.
- Offsets are one per head and prefix, theirs one per position, too: sequences may have any length.
- Directions start from W_q^T W_k, which compares inputs; theirs from W_q W_k^T, whose singular
  vectors lie in the space of outputs, where a CLIP has as many dimensions.
- mu and sigma^2 (at least 1e-6) are those of the trained weights, over all images once; theirs run
  along with the last epoch. Only layers that read images alone have them, so a fusion backbone
  closes no gates. Nor does the text tower, where w = 1.
- Their adapters drop a tenth of their inputs in training; these do not.
"""

from typing import ClassVar

import torch
from pydantic import Field

from methods.data import Stage
from methods.prompts.densities import Densities
from methods.prompts.gates import GatedPrefixes
from methods.prompts.routed import Routed, RoutedConfig


class DPWConfig(RoutedConfig):
    """Options of `dpw`."""

    depth: int = Field(default=12, ge=1, description="How many layers of a tower, from the first.")
    heads: int | None = Field(
        default=None, ge=1, description="Heads of prefixes in a layer; null: as in its attention."
    )
    width: int = Field(default=64, ge=1, description="How narrow the adapter's bottleneck is.")
    sure: float = Field(
        default=0.99,
        gt=0,
        lt=1,
        description="Share of a task's images, were they Gaussian, of which all gates count.",
    )


class DPW(Routed):
    """Train gated prefixes and adapters per task; images go to the task they look like."""

    Config = DPWConfig
    config: DPWConfig
    resumable: ClassVar[bool] = True
    prompts: GatedPrefixes

    def build(self) -> None:
        """Put the prefixes of one task into both towers."""
        super().build()
        options, layers = self.config, self.layers(self.config.depth)
        self.prompts = GatedPrefixes(
            self.backbone, layers, options.length, options.heads, options.width
        )

    def draw(self, generator: torch.Generator) -> None:
        """Draw new adapters."""
        self.prompts.draw(generator)

    def after_task(self, stage: Stage) -> None:
        """Measure what the gates make of the task's images."""
        task = Densities([self.measured], self.config.epsilon, self.backbone.device)
        sure = self.weight(task.exceeded_by(self.config.sure))
        self.measured |= self.prompts.measure(self.backbone, stage, sure)
