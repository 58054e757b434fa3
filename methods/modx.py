"""Mod-X: keep how similar images are to the texts that are not theirs.

Ni et al., "Continual Vision-Language Representation Learning with Off-Diagonal Information" (ICML
2023, arXiv 2305.07437). M holds the cosine of every image with every text of a batch of pairs, the
right ones on its diagonal. With M_{t-1} by the model at the start of the task and M by the model
now,

    loss = task loss + alpha / 2 [ KL(M_{t-1} || M) + KL(M_{t-1}^T || M^T) ],

KL summed over rows after a softmax, without a temperature, in each. A row whose largest entry is a
wrong one taught the old model nothing worth keeping: it is replaced by the row of M, so that it
drops out. alpha = 20.

The paper continues contrastive pretraining on captions. Here, for tasks with few choices: a pair is
an image with the prompt of its label, and the task's own loss takes the place of the contrastive
one; since labels recur in a batch, all entries where image and prompt have the same label count as
the diagonal. Left open there and decided here: the diagonal is left out of the softmax altogether,
as the paper's name says (the authors' code leaves it in, where it is one of hundreds). Of a fusion
backbone this keeps the projected image tokens and the token embeddings.
"""

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from methods.backbones.base import Backbone
from methods.data import Batch, Stage
from methods.distill import Strength
from methods.finetune import FineTune, FineTuneConfig
from methods.parallel import gather_rows
from methods.teacher import Teacher


class ModXConfig(FineTuneConfig):
    """Options of `modx`."""

    strength: Strength = 20.0


class ModX(FineTune):
    """Fine-tune, and keep the off-diagonal similarities of the batch."""

    Config = ModXConfig
    config: ModXConfig

    def build(self) -> None:
        """Make room for the old model."""
        super().build()
        self.teacher = Teacher()

    def before_task(self, stage: Stage) -> None:
        """What the model is now is the old model."""
        self.teacher.follow(self.backbone)

    def loss(self, batch: Batch) -> Tensor:
        """The task's loss and the change of the similarities among the pairs of a step."""
        labels = gather_rows(batch.labels)
        with torch.no_grad():
            before = cosines(self.teacher.backbone, batch)
        now = cosines(self.backbone, batch)
        change = off_diagonal_change(before, now, labels)
        change = change + off_diagonal_change(before.T, now.T, labels)
        return super().loss(batch) + self.config.strength / 2 * change


def cosines(backbone: Backbone, batch: Batch) -> Tensor:
    """Of all workers' images with the prompts of all their labels: float32 [B, B]."""
    prompts = batch.task.prompts()
    images = gather_rows(backbone.embed_images(batch.pixels))
    texts = gather_rows(backbone.embed_texts([prompts[label] for label in batch.labels.tolist()]))
    # In bf16 a cosine would keep three digits, of which it changes by one.
    with torch.autocast(images.device.type, enabled=False):
        return images @ texts.T


def off_diagonal_change(before: Tensor, now: Tensor, labels: Tensor) -> Tensor:
    """KL(before || now) of softmax over wrong entries, summed over the rows that were right.

    Args:
        before: Similarities by the old model, [B, B]. Row i and column i have label i.
        now: The same by the model now.
        labels: int64 [B].
    """
    diagonal = labels.unsqueeze(1) == labels
    right = labels[before.argmax(dim=1)] == labels
    # Finite, so that a row without a wrong entry is no change instead of nan.
    lowest = torch.finfo(now.dtype).min
    old, new = (m.masked_fill(diagonal, lowest).log_softmax(dim=1) for m in (before, now))
    return kl_div(new[right], old[right], reduction="sum", log_target=True)
