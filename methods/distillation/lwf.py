"""Learning without Forgetting: on the new task's images, still answer as before it.

Li and Hoiem, "Learning without Forgetting" (ECCV 2016, arXiv 1606.09282), as ZSCL (Zheng et al.,
ICCV 2023, arXiv 2303.06628) carries it over to CLIP:

    loss = task loss + lambda (KD_T(rows) + KD_T(columns))

between the logits that the model at the start of the task (the pretrained one for the first task)
and the model now give the choices of the task, on the task's own batch. Rows are images, columns
are choices; both papers have T = 2 and lambda = 1. Where a dual encoder learns captions, columns
are the captions of the step.

In ZSCL's code the rows of the distillation are those of a second batch of the task's images, drawn
by itself; here they are the batch of the task loss, as in Li and Hoiem.

Left open there and decided here: each model is compared by its own texts, so that both towers are
kept, and so is the language model of a fusion backbone (ZSCL's code puts the teacher's texts on
both sides, which leaves the text tower free). The student knows a choice as it is trained, by the
first prompt; the teacher as it is evaluated, by the mean over all prompts. Where columns are not
the same for all samples there are only rows: of choices that a sample has for itself one per
sample; of what is written one per token, over the vocabulary, with the mean over the tokens of a
sample.
"""

from contextlib import ExitStack
from typing import ClassVar

import torch
from torch import Tensor

from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Stage
from methods.tools.soft_targets import (
    Strength,
    Temperature,
    distillation_both_ways,
    distillation_by_samples,
)
from methods.tools.teacher import Teacher


class LwFConfig(FineTuneConfig):
    """Options of `lwf`."""

    strength: Strength = 1.0
    temperature: Temperature = 2.0


class LwF(FineTune):
    """Fine-tune, and distil from the model at the start of the task on the task's batch."""

    Config = LwFConfig
    config: LwFConfig
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Make room for the teacher."""
        super().build()
        self.teacher = Teacher()
        self._frozen_texts = ExitStack()

    def before_task(self, stage: Stage) -> None:
        """Take the model as it is now as the teacher; its texts are embedded only once."""
        self._frozen_texts.close()
        self.teacher.follow(self.backbone)
        task = stage.tasks[stage.task].task
        self._frozen_texts.enter_context(self.teacher.backbone.frozen_texts([task]))

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss plus the distance from the teacher's answers to the batch."""
        with self.backbone.one_pass(batch):
            kept = self.distance(batch)
            return super().loss(batch) + self.config.strength * kept

    def distance(self, batch: Batch) -> Tensor:
        """Returns distillation on the batch."""
        teacher, temperature = self.teacher.backbone, self.config.temperature
        if self.backbone.has_table(batch):
            with torch.no_grad():
                before = teacher.step_logits(batch)
            return distillation_both_ways(before, self.backbone.step_logits(batch), temperature)
        with torch.no_grad():
            before = teacher.logits(batch)
        rows = self.backbone.rows_of_samples(batch)
        return distillation_by_samples(before, self.backbone.logits(batch), rows, temperature)

    def after_task(self, stage: Stage) -> None:
        """Let go of the teacher's texts."""
        self._frozen_texts.close()
