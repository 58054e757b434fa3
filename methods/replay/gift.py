"""GIFT: replay generated pictures of earlier tasks, by distillation and alignment.

Wu et al., "Synthetic Data is an Elegant GIFT for Continual Vision-Language Models" (CVPR 2025,
arXiv 2503.04229). Beside the task's batch every step draws generated images with the prompts they
were generated from: of the classes of all earlier tasks, and of ImageNet. With S the B x B logits
of these images and prompts under the model, S' under the model at the start of the task (the
pretrained one for the first task), and Y_ij = 1 / n where prompts i and j are two of n equal ones,

    loss = task loss + lambda (KD_T(rows) + KD_T(columns) of S' and S)
                     + mu (CE(Y, rows of S) + CE(Y, columns of S))
                     + nu sum_i A_i (theta_i - theta'_i)^2

with lambda = 1, mu = 0.25, nu = 1 and T = 2. The last term is adaptive: in every step and for each
tensor of weights A = g^2 / mean(g^2), where g is the gradient of the lambda and mu terms.

Left open there, or different here:

- The reference pool stands for the images of ImageNet classes. A study's generator draws a fixed
  set for every task, the same for all orders; half of a replayed batch is from earlier tasks and
  half from the reference (`synthetic_share`; in the first task all of it), with replacement.
- Generators draw classes: it learns only tasks that have some.
- Replayed batches are as large as the task's, and their matrices compare all samples of a step.
- No label smoothing, here as in the task's loss.
- Weights that g does not reach, such as most of a fusion backbone's language model, get A = 0.

Since A needs g by itself, `loss` takes this gradient at once, and `after_backward` adds it, and
that of the nu term in closed form, to the gradient of the task's loss: no pass is done twice.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.backbones.base import Backbone
from methods.base import Requirement, State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Stage
from methods.parallel import gather_rows, mean_over_workers
from methods.replay.buffers import Item, by_task
from methods.seeds import derive_seed
from methods.tools.contrast import contrastive_loss
from methods.tools.soft_targets import Strength, Temperature, distillation_both_ways
from methods.tools.teacher import Teacher

_REFERENCE = ""
"""Stands for the reference where tasks are named; no task is called so."""


class GIFTConfig(FineTuneConfig):
    """Options of `gift`."""

    strength: Strength = 1.0
    temperature: Temperature = 2.0
    alignment: float = Field(
        default=0.25, ge=0, description="Weight of the alignment of images with their prompts."
    )
    consolidation: float = Field(
        default=1.0,
        ge=0,
        description="Weight of the squared distance to the weights at the start of the task.",
    )
    synthetic_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Part of a replayed batch that shows earlier tasks, not the reference.",
    )


class GIFT(FineTune):
    """Fine-tune; distil and align on synthetic pairs; hold the weights that this depends on."""

    Config = GIFTConfig
    config: GIFTConfig
    needs_classes: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    requires: ClassVar[frozenset[Requirement]] = frozenset({"reference", "generator"})

    def build(self) -> None:
        """Make room for the teacher."""
        super().build()
        self.teacher = Teacher()

    def before_task(self, stage: Stage) -> None:
        """Take the model as it is now as the teacher, and as where weights are held."""
        self.stage = stage
        self.teacher.follow(self.backbone)
        assert stage.reference is not None
        self.pool = stage.reference
        self.pairs: list[Item] = [(_REFERENCE, i) for i in range(len(self.pool.captions))]
        self.generated: list[Item] = [
            (task, i) for task, data in stage.synthetic.items() for i in range(len(data))
        ]
        self.draws = stage.generator("replay")
        self.weights: list[Tensor] = [w for w in self.parameters() if w.requires_grad]
        self.anchors = [weight.detach().clone() for weight in self.weights]

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss; and, without a gradient to come, that of the replayed batch."""
        replayed = self.replay(*self.draw())
        self.gradients = torch.autograd.grad(replayed, self.weights, allow_unused=True)
        return super().loss(batch) + replayed.detach()

    def step_state(self) -> State:
        """Returns how far the draws are."""
        return {"draws": self.draws.get_state()}

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.draws.set_state(state["draws"])

    def draw(self) -> tuple[Tensor, list[str]]:
        """Returns this worker's share of the next batch of images, and their prompts."""
        size = self.stage.batch_size
        own = round(self.config.synthetic_share * size) if self.generated else 0
        drawn = self._some(self.generated, own) + self._some(self.pairs, size - own)
        mine = [drawn[i] for i in self.stage.shard(torch.arange(size)).tolist()]
        pixels, prompts = [], []
        for task, ids in by_task(mine).items():
            if task == _REFERENCE:
                pixels.append(self.pool.pixels(torch.tensor(ids)))
                prompts += [self.pool.captions[i] for i in ids]
                continue
            batch = self.stage.synthetic[task].batch(torch.tensor(ids))
            names = self.backbone.texts(batch.task)
            pixels.append(batch.pixels)
            prompts += [names[label] for label in batch.labels.tolist()]
        return torch.cat(pixels), prompts

    def _some(self, items: list[Item], count: int) -> list[Item]:
        if not count:
            return []
        return [items[i] for i in torch.randint(len(items), (count,), generator=self.draws)]

    def replay(self, pixels: Tensor, prompts: list[str]) -> Tensor:
        """Returns distillation and alignment on images and their prompts."""
        with torch.no_grad():
            before = _match(self.teacher.backbone, pixels, prompts)
        now = _match(self.backbone, pixels, prompts)
        kept = distillation_both_ways(before, now, self.config.temperature)
        names = torch.tensor([derive_seed(prompt) for prompt in prompts], device=now.device)
        aligned = contrastive_loss(now, gather_rows(names))
        return self.config.strength * kept + self.config.alignment * aligned

    @torch.no_grad()
    def after_backward(self) -> None:
        """Add the gradients of the replayed batch and of the adaptive consolidation."""
        found = [
            (weight, anchor, gradient)
            for weight, anchor, gradient in zip(
                self.weights, self.anchors, self.gradients, strict=True
            )
            if gradient is not None
        ]
        mean_over_workers(gradient for *_, gradient in found)
        for weight, anchor, gradient in found:
            pull = 2 * self.config.consolidation * relevance(gradient) * (weight - anchor)
            added = gradient + pull
            weight.grad = added if weight.grad is None else weight.grad + added


def _match(backbone: Backbone, pixels: Tensor, prompts: list[str]) -> Tensor:
    """Returns logits of all workers' prompts for all workers' images: [B, B]."""
    images = gather_rows(backbone.embed_images(pixels))
    return backbone.similarity(images, gather_rows(backbone.embed_texts(prompts)))


def relevance(gradient: Tensor) -> Tensor:
    """Returns a: the squared gradient, relative to its mean over the tensor."""
    squares = gradient.square()
    return squares / squares.mean().clamp(min=torch.finfo(squares.dtype).tiny)
