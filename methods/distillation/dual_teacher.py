"""Select and Distill: on reference images, follow the teacher that each of them belongs to.

Yu et al., "Select and Distill: Selective Dual-Teacher Knowledge Transfer for Continual Learning on
Vision-Language Models" (ECCV 2024, arXiv 2403.09296). With image embeddings f of the model now,
f_{t-1} of the model at the start of the task and f_0 of the pretrained one,

    q(x) = |f_0(x) - f_{t-1}(x)|,   w(x) = sigmoid(gamma (q(x) - delta)),
    loss = task loss + mean_x [ a w |f - f_{t-1}|^2 + b (1 - w) |f - f_0|^2 ]

over a batch of reference images x: images whose embedding earlier tasks have moved follow the
latest teacher, the others the pretrained one. delta = 0.2, gamma = 6, a = 9, b = 0.5. In the first
task the teachers are the same.

f_0 comes from the reference pool; f_{t-1} is computed at every step.

Left open there and decided here: reference images are drawn with replacement, as many as the task's
batch has (the authors draw twice as many); every image has its own w (in the authors' code a
product of a column and a row gives all images the mean w). The paper trains the image tower only;
here all weights are trained, as by the other methods, so that methods differ in their losses alone.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.base import Requirement, State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Stage
from methods.tools.soft_targets import ReferenceBatch, ReferenceDraws
from methods.tools.teacher import Teacher


class DualTeacherConfig(FineTuneConfig):
    """Options of `dual_teacher`."""

    previous: float = Field(
        default=9.0, ge=0, description="Weight of the teacher from the start of the task."
    )
    pretrained: float = Field(default=0.5, ge=0, description="Weight of the pretrained teacher.")
    threshold: float = Field(
        default=0.2, ge=0, description="Distance of the teachers at which they weigh the same."
    )
    sharpness: float = Field(
        default=6.0, ge=0, description="How fast the choice between them changes with the distance."
    )
    reference_batch: ReferenceBatch = None


class DualTeacher(FineTune):
    """Fine-tune, and stay near the better of two teachers on every reference image."""

    Config = DualTeacherConfig
    config: DualTeacherConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    requires: ClassVar[frozenset[Requirement]] = frozenset({"reference"})

    def build(self) -> None:
        """Make room for the latest teacher."""
        super().build()
        self.teacher = Teacher()

    def before_task(self, stage: Stage) -> None:
        """Take the model as it is now as the latest teacher."""
        self.teacher.follow(self.backbone)
        self.draws = ReferenceDraws(stage, self.config.reference_batch)

    def step_state(self) -> State:
        """Returns how far the draws are."""
        return self.draws.state()

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.draws.load_state(state)

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss and the distance from the teachers on a reference batch."""
        return super().loss(batch) + batch.once(self.distance)

    def distance(self) -> Tensor:
        """Returns weighted squared distance from both teachers on the next reference batch."""
        ids, pool = self.draws.draw(), self.draws.pool
        pixels = pool.pixels(ids)
        pretrained = pool.image_embeddings[ids].to(self.backbone.device)
        with torch.no_grad():
            previous = self.teacher.backbone.embed_images(pixels)
        now = self.backbone.embed_images(pixels)
        weight = self.weight(pretrained, previous)
        to_previous = (now - previous).square().sum(dim=1)
        to_pretrained = (now - pretrained).square().sum(dim=1)
        return (
            self.config.previous * weight * to_previous
            + self.config.pretrained * (1 - weight) * to_pretrained
        ).mean()

    def weight(self, pretrained: Tensor, previous: Tensor) -> Tensor:
        """Returns the share of the latest teacher [B], from both teachers' embeddings [B, D]."""
        apart = (pretrained - previous).norm(dim=1)
        return torch.sigmoid(self.config.sharpness * (apart - self.config.threshold))
