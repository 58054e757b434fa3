"""CoOp: learn the words in front of the class name.

Zhou et al., "Learning to Prompt for Vision-Language Models" (IJCV 2022, arXiv 2109.01134): the text
of a class is [V]_1 ... [V]_M [CLASS] with M context vectors in the place of word embeddings,
shared by all classes ("unified context"), and only they are trained, by the loss of the task. The
draw from N(0, 0.02^2) and the learning rate are the paper's, whose optimiser is SGD. So is M = 4,
the smaller of its two settings: a context takes places from texts, and moves them on.

The paper learns one task. Here one context is trained on through all tasks.

Different here, and left open there:

- The context stands in front of the task's own prompts ("a photo of a {}."), right after the start
  of the text, instead of replacing them: so it meets class names, ensembles of templates, captions
  and questions by one rule. A text that is then too long is cut as it is without one: its last
  words go, its end token stays.
- A fusion backbone gets it in front of the whole prompt, image tokens included. There it is prompt
  tuning as in Lester et al. (EMNLP 2021, arXiv 2104.08691).
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from methods.backbones.base import Reading
from methods.base import MethodConfig
from methods.tools.frozen_backbone import FrozenBackbone, FrozenBackboneConfig

_SPREAD = 0.02


class CoOpConfig(FrozenBackboneConfig):
    """Options of `coop`."""

    length: int = Field(default=4, ge=1, description="Learnt tokens in front of every text, M.")


class CoOp(FrozenBackbone):
    """Train context tokens in front of every text, beside a frozen backbone."""

    Config = CoOpConfig
    config: CoOpConfig
    resumable: ClassVar[bool] = True
    prompted: ClassVar[tuple[Reading, ...]] = ("texts",)

    @classmethod
    def context_length(cls, config: MethodConfig) -> int:
        """Returns M."""
        assert isinstance(config, CoOpConfig)
        return config.length

    def build(self) -> None:
        """Put the context in."""
        if "text" not in self.backbone.towers:
            raise ValueError("coop learns in the text tower alone, and `towers` leaves it out")
        width = self.backbone.token_embedding().embedding_dim
        self.context = nn.Parameter(torch.zeros(self.config.length, width))
        self.backbone.prompting.context = self.context
        self.backbone.embed_texts(["text"])  # fails if there is no room for the context

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw a new context."""
        super().reset(seed)
        drawn = torch.randn(self.context.shape, generator=torch.Generator().manual_seed(seed))
        self.context.copy_(_SPREAD * drawn)
