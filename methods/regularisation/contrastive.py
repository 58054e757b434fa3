"""Fine-tuning with the backbone's own contrastive loss beside the task's.

Sekeh & Wisell, "Understanding Cross-Modal Contributions in Continual Vision-Language Models" (2026,
arXiv 2606.14883), theorem T2:

    LOSS = CE + lambda * contrastive,

where lambda moves how well the images of an environment fit its own texts, CLV(t); with the encoder
frozen it moves nothing. CLV(t) is the metric `cosine` of the results (split "alignment"). The paper
sweeps lambda from 0 to 5.

Left open there and decided here: a pair is an image with the text that is right for it, its caption
or answer or the prompt of its label, and the loss is CLIP's over the pairs of a step, both ways.
Labels recur in a batch, so all pairs of one label count as right ones for each other, with equal
shares (Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, arXiv 2004.11362, have the
same for images alone); so do pairs with equal texts or of one picture. Where a dual encoder learns
captions, whose loss this is already, it counts 1 + lambda times.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.backbones.same_texts import names_of
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch
from methods.parallel import gather_rows
from methods.tools.contrast import contrastive_loss, embed_right_texts


class ContrastiveConfig(FineTuneConfig):
    """Options of `contrastive`."""

    strength: float = Field(default=1.0, ge=0, description="Lambda.")


class Contrastive(FineTune):
    """Minimise the task's loss, and that of telling which image goes with which text."""

    Config = ContrastiveConfig
    config: ContrastiveConfig
    resumable: ClassVar[bool] = True

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss + lambda * the contrastive loss of the pairs of a step."""
        with self.backbone.one_pass(batch):
            return super().loss(batch) + self.config.strength * self.contrast(batch)

    def contrast(self, batch: Batch) -> Tensor:
        """Returns the contrastive loss: the mean of both directions, as in CLIP."""
        texts = embed_right_texts(self.backbone, batch)
        images = gather_rows(self.backbone.embed_images(batch.pixels))
        # In bf16 the logits of CLIP, a hundred times a cosine, would be rounded to quarters.
        with torch.autocast(images.device.type, enabled=False):
            fit = self.backbone.similarity(images.float(), gather_rows(texts).float())
        return contrastive_loss(fit, gather_rows(names_of(batch))) / 2
