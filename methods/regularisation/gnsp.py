"""GNSP: learn in directions that the inputs of earlier tasks do not have.

Peng et al., "GNSP: Gradient Null Space Projection for Preserving Cross-Modal Alignment in VLMs
Continual Learning" (2025, arXiv 2507.19839). After task t every projected layer adds the Gram
matrix of its inputs X (one row per token) on the task's images, at length one:

    M <- M + X^T X / |X^T X|_F.

From the second task on only the weights of these layers are trained, and their gradients become
G P with P = V V^T: V are the eigenvectors of M with the smallest eigenvalues, as many as have less
than the share rho of their sum. An update along G P leaves W x as it is for inputs x outside of the
span of V. With batches (x, y) of reference images and captions,

    loss = task loss + lambda (KD_T(rows) + KD_T(columns)) + mu (CE(rows) + CE(columns))

on the similarities of all x to all y: KD between the pretrained model and the model now, CE between
the model now and the pairs. (The authors call equal captions equally right; as these have the same
similarities, the sum over them is the same.) rho = 0.15, lambda = 1, mu = 0.75, T = 2.

AdamW makes of G P a step that lies in the null space only approximately; so it is in the paper.

Left open there and decided here:
- The paper projects the two MLP layers of every block of CLIP's image tower and the tower's last
  projection: `layers: mlp`. By default it is every linear layer inside the blocks of the image
  tower, attention too; where the image tower is not trained, as in fusion backbones, those of the
  language model. Of an adapter it is the factor A, the one that sees the inputs; what is outside of
  the blocks has no adapter.
- The Gram matrix is of the first `samples` of a random order of the task's training data, in
  evaluation mode, at the weights after the task. It is made length one as a whole: the authors'
  code does so per batch too, which would make it depend on how samples are cut into batches.
- Reference pairs are drawn with replacement, as many as the task's batch has. Targets are not
  smoothed, as nowhere here (the authors smooth by 0.2).

State: one matrix of inputs x inputs per projected layer, or for all that have the same inputs, as
queries, keys and values have.
"""

from collections.abc import Container, Iterable
from contextlib import nullcontext
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods.base import Requirement, State, part_of
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Stage
from methods.parallel import gather_rows
from methods.tools.layer_inputs import input_grams, layers_by_tensor, some_batches
from methods.tools.soft_targets import (
    ReferenceBatch,
    ReferenceDraws,
    Strength,
    Temperature,
    distillation_both_ways,
)


class GNSPConfig(FineTuneConfig):
    """Options of `gnsp`."""

    null_share: float = Field(
        default=0.15,
        gt=0,
        le=1,
        description="Share of the inputs' energy that counts as none: directions with less of it "
        "together are free to learn in.",
    )
    layers: Literal["all", "mlp"] = Field(
        default="all",
        description="What is projected, and alone trained from the second task on: all linear "
        "layers inside the blocks, or, as in the paper, those of the MLPs (mlp), and without an "
        "adapter what projects the image after the last block.",
    )
    samples: int = Field(
        default=1000, ge=1, description="Training images of a task whose features are kept."
    )
    strength: Strength = 1.0
    alignment: float = Field(
        default=0.75, ge=0, description="Weight of the contrastive loss on the reference."
    )
    temperature: Temperature = 2.0
    reference_batch: ReferenceBatch = None


class GNSP(FineTune):
    """Train everything on the first task, then only in the null space of what was learnt."""

    Config = GNSPConfig
    config: GNSPConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    requires: ClassVar[frozenset[Requirement]] = frozenset({"reference"})

    def build(self) -> None:
        """Choose the layers to project."""
        layers = self.backbone.adapted()  # an adapter changes the names of what is in them
        layers = [name for name in layers if self.backbone.tower(name) == "vision"] or layers
        if self.config.layers == "mlp":
            mlps = [name for name in layers if ".mlp." in name]
            if not mlps:
                raise ValueError("the blocks have no part called mlp; choose layers: all")
            layers = [*mlps, *self._after_blocks(layers)]
        super().build()
        weight = "lora_A.default.weight" if self.adapter else "weight"
        self.projected = {layer: f"backbone.{layer}.{weight}" for layer in layers}
        self.grams: State = {}

    def _after_blocks(self, inside: Container[str]) -> list[str]:
        """Returns the trained linear layers of the image tower that are not in a block."""
        if self.config.lora:
            return []
        trained = set(self.backbone.trainable())
        return [
            name
            for name, module in self.backbone.named_modules()
            if isinstance(module, nn.Linear)
            and f"{name}.weight" in trained
            and self.backbone.tower(name) == "vision"
            and name not in inside
        ]

    def before_task(self, stage: Stage) -> None:
        """Freeze all but the projected weights from the second task on; find their null spaces."""
        self.draws = ReferenceDraws(stage, self.config.reference_batch)
        weights, share = dict(self.named_parameters()), self.config.null_share
        trained = set(self.projected.values() if self.grams else self.trainable())
        for name, weight in weights.items():
            weight.requires_grad_(name in trained)
        self.projections = [
            ([weights[self.projected[layer]] for layer in layers], null_space(gram, share))
            for layers, gram in layers_by_tensor(self.grams)
        ]

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss, distillation and alignment on a reference batch."""
        return super().loss(batch) + batch.once(self.reference_loss)

    def reference_loss(self) -> Tensor:
        """Returns distillation and contrast of the next reference pairs."""
        ids, pool, device = self.draws.draw(), self.draws.pool, self.backbone.device
        before = self.backbone.similarity(
            gather_rows(pool.image_embeddings[ids].to(device)),
            gather_rows(pool.text_embeddings[ids].to(device)),
        )
        now = self.backbone.similarity(
            gather_rows(self.backbone.embed_images(pool.pixels(ids))),
            gather_rows(self.backbone.embed_texts([pool.captions[i] for i in ids.tolist()])),
        )
        pairs = torch.arange(len(now), device=device)
        kept = distillation_both_ways(before, now, self.config.temperature)
        aligned = cross_entropy(now, pairs) + cross_entropy(now.T, pairs)
        return self.config.strength * kept + self.config.alignment * aligned

    @torch.no_grad()
    def after_backward(self) -> None:
        """Take out of the gradients what inputs of earlier tasks would feel."""
        for weights, free in self.projections:
            for weight in weights:
                if weight.grad is not None:
                    weight.grad = weight.grad @ free

    def step_state(self) -> State:
        """Returns how far the draws are."""
        return self.draws.state()

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.draws.load_state(state)

    def after_task(self, stage: Stage) -> None:
        """Add the Gram matrices of this task's inputs to those of the earlier ones."""
        reads_texts = any(self.backbone.tower(layer) == "text" for layer in self.projected)
        task = stage.tasks[stage.task].task
        with nullcontext() if reads_texts else self.backbone.frozen_texts([task]):
            grams = self.input_grams(some_batches(stage, self.config.samples))
        for layer, gram in grams.items():
            self.grams[layer] = self.grams.get(layer, 0) + gram / gram.norm()
        for layers, gram in layers_by_tensor(self.grams):
            self.grams |= dict.fromkeys(layers, gram)

    def input_grams(self, batches: Iterable[Batch]) -> State:
        """Returns X^T X of each projected layer, X its inputs over all workers."""
        training = self.training
        self.eval()
        try:
            return input_grams(self.backbone, self.projected, batches)
        finally:
            self.train(training)

    def extra_state(self) -> State:
        """Returns the Gram matrices by the names of their layers, once a task is learnt."""
        return {f"gram/{'+'.join(layers)}": gram for layers, gram in layers_by_tensor(self.grams)}

    def load_extra_state(self, state: State) -> None:
        """Return to the Gram matrices of an earlier moment."""
        self.grams = {}
        for layers, gram in part_of(state, "gram/").items():
            self.grams |= dict.fromkeys(layers.split("+"), gram.to(self.backbone.device))


def null_space(gram: Tensor, share: float) -> Tensor:
    """Returns the projection onto the directions that carry least of a Gram matrix [D, D]: [D, D].

    They are the eigenvectors with the smallest eigenvalues, as many as have together less than
    `share` of the sum of all.
    """
    values, vectors = torch.linalg.eigh(gram)
    energy = values.clamp(min=0).cumsum(dim=0)
    free: Tensor = vectors[:, energy < share * energy[-1]]
    return free @ free.T
