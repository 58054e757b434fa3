"""A frozen backbone with one linear head that all tasks share.

The frozen setting of Sekeh & Wisell, "Understanding Cross-Modal Contributions in Continual
Vision-Language Models" (2026, arXiv 2606.14883): the encoder stays as it is, and one linear head is
trained on task after task. Nothing but the head can be forgotten, and as features never change they
are computed once per task: a training costs a small fraction of fine-tuning, which is what makes
all orders of a few tasks affordable.

    logits = s <W f(x) / |W f(x)|, t_c>,   f image embeddings, t_c text embeddings of the choices

Decided here, where details could not be read: their head has a row of free weights for each class
of all tasks. Here W [D, D] is free and starts at the identity, and texts stand for the classes. So
stage 0 is the zero-shot model, classes need not be known beforehand, and all tasks share all of it.

The head sees the image alone, whatever is asked about it, and texts stand for classes: it learns
only tasks that have some. It takes larger steps than a backbone: it is small, and linear.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from methods.backbones.base import Family, Tower, highest
from methods.base import Method, MethodConfig
from methods.data import Batch, Stage, Task
from methods.tools.image_features import image_features


class FrozenHeadConfig(MethodConfig):
    """Options of `frozen_head`."""

    lr: float | None = Field(
        default=1e-2, gt=0, description="Learning rate of the head; null: the study's."
    )


class FrozenHead(Method):
    """Train one linear map of frozen image embeddings, shared by all tasks."""

    Config = FrozenHeadConfig
    needs_classes: ClassVar[bool] = True
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    reads_pixels: ClassVar[bool] = False

    def build(self) -> None:
        """Start with a head that changes nothing."""
        self.head = nn.Parameter(torch.eye(self.backbone.width, device=self.backbone.device))
        self._features: dict[str, Tensor] = {}
        self._texts: dict[tuple[tuple[str, ...], tuple[str, ...]], Tensor] = {}

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns none: the head is outside of the backbone."""
        return frozenset()

    def trainable(self) -> list[str]:
        """Returns the head."""
        return ["head"]

    def before_task(self, stage: Stage) -> None:
        """Compute the task's features, unless an order before this one has."""
        if stage.task not in self._features:
            self._features[stage.task] = image_features(self.backbone, stage)

    def loss(self, batch: Batch) -> Tensor:
        """Returns the mean negative log-likelihood of the right choice."""
        features = self._features[batch.task.name]
        return cross_entropy(self._logits(features[batch.ids], batch.task), batch.labels)

    def predict(self, batch: Batch) -> Tensor:
        """Returns the choice whose text is nearest to what the head makes of the image."""
        logits = self._logits(self.backbone.embed_images(batch.pixels), batch.task)
        return highest(logits, batch.ids)

    def _logits(self, features: Tensor, task: Task) -> Tensor:
        """Returns the logits of features [B, D] for the task's choices: float32 [B, C]."""
        texts = self._choices(task)
        with torch.autocast(features.device.type, enabled=False):
            return self.backbone.similarity(normalize(linear(features, self.head), dim=-1), texts)

    @torch.no_grad()
    def _choices(self, task: Task) -> Tensor:
        """Returns the frozen embeddings of a task's choices, averaged over templates: [C, D]."""
        key = (task.templates, task.choices)
        if key not in self._texts:
            # By themselves: evaluation embeds those of all tasks together, which rounds otherwise.
            with self.backbone.frozen_texts([task]), self.backbone.without_dropout():
                self._texts[key] = self.backbone.embed_choices(task)
        return self._texts[key]
