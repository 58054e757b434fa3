"""ZSCL: keep the pretrained model's similarities of reference images to reference captions.

Zheng et al., "Preventing Zero-Shot Transfer Degradation in Continual Learning of Vision-Language
Models" (ICCV 2023, arXiv 2303.06628):

    loss = task loss + lambda (KD_T(rows) + KD_T(columns)) + mu |theta - theta_{t-1}|^2

where the distillation is between s f_0(x) E^T and s f(x) E^T for a batch of reference images x:
f_0 and f are the image embeddings of the pretrained model and of the model now, E the pretrained
model's embeddings of all reference captions, on both sides. The mean over every I-th step's weights
is what a task leaves behind (`weight_ensemble`). T = 2, lambda = mu = 1, I = 100; mu = 0 is the
paper's ZSCL*.

Nothing of the teacher is computed in training: f_0(x) and E belong to the reference pool. The text
tower is held by mu and by the mean only, since no text of the model now is in the distillation.

Left open there and decided here: a caption that occurs several times counts once in E; reference
images are drawn with replacement, as many as the task's batch has; the columns compare all images
of a step; the gradient of the last term, 2 mu (theta - theta_{t-1}), is added after gradients have
been averaged over the workers. Task images and reference images are two passes through the image
tower. Of a fusion backbone the distillation keeps the projected image tokens, and nothing else.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.base import Requirement, State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Stage
from methods.parallel import gather_rows
from methods.tools.averages import WeightAverage
from methods.tools.soft_targets import (
    ReferenceBatch,
    ReferenceDraws,
    Strength,
    Temperature,
    distillation_both_ways,
)


class ZSCLConfig(FineTuneConfig):
    """Options of `zscl`."""

    every: int = Field(default=100, ge=1, description="Steps from one ensemble member to the next.")
    strength: Strength = 1.0
    temperature: Temperature = 2.0
    reference_batch: ReferenceBatch = None
    consolidation: float = Field(
        default=1.0,
        ge=0,
        description="Weight of the squared distance to the weights at the start of the task.",
    )


class ZSCL(FineTune):
    """Fine-tune, distil from the pretrained model on the reference, leave the mean behind."""

    Config = ZSCLConfig
    config: ZSCLConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    requires: ClassVar[frozenset[Requirement]] = frozenset({"reference"})

    def build(self) -> None:
        """Get ready to average."""
        super().build()
        self.average = WeightAverage(self.config.every)

    def before_task(self, stage: Stage) -> None:
        """Look up what the pretrained model made of the captions; note where the task starts."""
        self.average.start(weight for weight in self.parameters() if weight.requires_grad)
        self.draws = ReferenceDraws(stage, self.config.reference_batch)
        pool = self.draws.pool
        distinct = {caption: i for i, caption in enumerate(pool.captions)}
        self.texts = pool.text_embeddings[list(distinct.values())].to(self.backbone.device)
        self.anchors = [
            (weight, weight.detach().clone())
            for weight in self.parameters()
            if weight.requires_grad and self.config.consolidation
        ]

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss plus the distance from the pretrained model."""
        return super().loss(batch) + batch.once(lambda: self.config.strength * self.distance())

    def distance(self) -> Tensor:
        """Returns distillation on the next reference batch."""
        ids, pool = self.draws.draw(), self.draws.pool
        before = gather_rows(pool.image_embeddings[ids].to(self.backbone.device))
        now = gather_rows(self.backbone.embed_images(pool.pixels(ids)))
        return distillation_both_ways(
            self.backbone.similarity(before, self.texts),
            self.backbone.similarity(now, self.texts),
            self.config.temperature,
        )

    def after_backward(self) -> None:
        """Add the gradient of the weight consolidation."""
        for weight, anchor in self.anchors:
            if weight.grad is not None:
                weight.grad.add_(weight.detach() - anchor, alpha=2 * self.config.consolidation)

    def after_step(self) -> None:
        """Let every k-th step count."""
        self.average.update()

    def step_state(self) -> State:
        """Returns the mean so far, and how far the draws are."""
        return self.average.state() | self.draws.state()

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.average.load_state(state)
        self.draws.load_state(state)

    def after_task(self, stage: Stage) -> None:
        """Become the mean."""
        self.average.put_back()
