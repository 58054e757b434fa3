"""Mod-X: keep how similar images are to the texts that are not theirs.

Ni et al., "Continual Vision-Language Representation Learning with Off-Diagonal Information" (ICML
2023, arXiv 2305.07437). M holds the cosine of every image with every text of a batch of pairs, the
right ones on its diagonal. With M_{t-1} by the model at the start of the task and M by the model
now,

    loss = task loss + alpha / 2 [ KL(M_{t-1} || M) + KL(M_{t-1}^T || M^T) ],

KL summed over rows after a softmax in each. A row whose largest entry is a wrong one taught the old
model nothing worth keeping: it is replaced by the row of M, so that it drops out. alpha = 20, and a
softmax without a temperature, are those of the authors' code.

The paper continues contrastive pretraining on captions, which is what happens here where a dual
encoder learns captions. Elsewhere a pair is an image with the text that is right for it, its answer
or the prompt of its label, and the task's own loss takes the place of the contrastive one; since
labels recur in a batch, all entries where image and prompt have the same label count as the
diagonal, as do those of equal texts and of one picture. Left open there and decided here: the
diagonal is left out of the softmax altogether, as the paper's name says (the authors' code leaves
it in, where it is one of hundreds). Of a fusion backbone this keeps the projected image tokens and
the token embeddings.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from methods.backbones.same_texts import matching, names_of
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Stage
from methods.parallel import gather_rows
from methods.tools.contrast import embed_right_texts
from methods.tools.soft_targets import Strength
from methods.tools.teacher import Teacher


class ModXConfig(FineTuneConfig):
    """Options of `modx`."""

    strength: Strength = 20.0


class ModX(FineTune):
    """Fine-tune, and keep the off-diagonal similarities of the batch."""

    Config = ModXConfig
    config: ModXConfig
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Make room for the old model."""
        super().build()
        self.teacher = Teacher()

    @torch.no_grad()
    def before_task(self, stage: Stage) -> None:
        """Take the model as it is now as the old one; its prompts are embedded only once."""
        self.teacher.follow(self.backbone)
        prompts = stage.tasks[stage.task].task.prompts()
        self.prompts_before = self.teacher.backbone.embed_texts(prompts) if prompts else None

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss and the change of the similarities among the pairs of a step."""
        with torch.no_grad():
            images_before = self.teacher.backbone.embed_images(batch.pixels)
            before = cosines(images_before, self._texts_before(batch))
        with self.backbone.one_pass(batch):
            texts = embed_right_texts(self.backbone, batch)
            now = cosines(self.backbone.embed_images(batch.pixels), texts)
            names = gather_rows(names_of(batch))
            change = off_diagonal_change(before, now, names)
            change = change + off_diagonal_change(before.T, now.T, names)
            return super().loss(batch) + self.config.strength / 2 * change

    def _texts_before(self, batch: Batch) -> Tensor:
        if self.prompts_before is None:
            return self.teacher.backbone.embed_texts(batch.targets)
        return self.prompts_before[batch.labels]


def cosines(images: Tensor, texts: Tensor) -> Tensor:
    """Returns cosines of all workers' images and texts, [B, D] each: float32 [B, B]."""
    # In bf16 a cosine would keep three digits, of which it changes by one.
    with torch.autocast(images.device.type, enabled=False):
        return gather_rows(images) @ gather_rows(texts).T


def off_diagonal_change(before: Tensor, now: Tensor, names: Tensor) -> Tensor:
    """Returns KL(before || now) over wrong entries, summed over rows that were right.

    Args:
        before: Similarities by the old model, [B, B]. Row i and column i have name i.
        now: The same by the model now.
        names: int64 [B]; or K names each, of which one has to be the same, [B, K].
    """
    names = names.view(len(names), -1)
    diagonal = matching(names, names)
    right = diagonal.gather(1, before.argmax(dim=1, keepdim=True)).squeeze(1)
    # Finite, so that a row without a wrong entry is no change instead of nan.
    lowest = torch.finfo(now.dtype).min
    old, new = (m.masked_fill(diagonal, lowest).log_softmax(dim=1) for m in (before, now))
    return kl_div(new[right], old[right], reduction="sum", log_target=True)
