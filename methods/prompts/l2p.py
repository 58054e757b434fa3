"""L2P: a pool of prompts from which every image takes those whose keys it resembles.

Wang et al., "Learning to Prompt for Continual Learning" (CVPR 2022, arXiv 2112.08654). With q(x)
the frozen backbone's embedding of an image x and a key k_m for each of the M prompts in the pool,
the image takes the N prompts K_x with the most similar keys, cos(q(x), k_m), and

    loss = task loss - lambda sum_{m in K_x} cos(q(x), k_m)                         (eq. 5)

trains the chosen prompts and their keys; the backbone stays as it is. M = 10, N = 5, 5 tokens per
prompt and lambda = 0.1 are those of the authors' code and of its PyTorch port (the paper has 0.5).

Left open there, or different here:

- Prompts are prefixes of keys and values instead of input tokens, as in the L2P++ of Smith et al.
  (CODA-Prompt, CVPR 2023, arXiv 2211.13218): the paper classifies by the outputs of its tokens,
  which a backbone that classifies by texts does not have. They go to the first layer, where the
  paper's tokens enter (`depth`).
- Prompted are the layers that read images: a dual encoder's image tower, a fusion backbone's
  language model.
- Every image chooses by itself, in training and at test time; the authors' code takes the majority
  of a batch. The optional table of how often a prompt was taken is left out.
- There is no growing head whose old classes would have to be masked: choices are the task's own.
"""

from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from methods.backbones.base import Reading
from methods.backbones.prompting import Route
from methods.data import Batch
from methods.prompts.base import Prefixes, cosines, first_layers
from methods.tools.frozen_backbone import FrozenBackbone, FrozenBackboneConfig


class L2PConfig(FrozenBackboneConfig):
    """Options of `l2p`."""

    pool: int = Field(default=10, ge=1, description="Prompts to choose among, M.")
    chosen: int = Field(default=5, ge=1, description="Prompts that an image takes, N.")
    length: int = Field(default=5, ge=1, description="Pairs of key and value in a prompt.")
    depth: int = Field(default=1, ge=1, description="How many layers are prompted, from the first.")
    pull: float = Field(
        default=0.1, ge=0, description="Weight lambda of the keys' similarity with their images."
    )

    @model_validator(mode="after")
    def _enough_to_choose(self) -> Self:
        if self.chosen > self.pool:
            raise ValueError(f"chosen {self.chosen} is more than the pool of {self.pool} holds.")
        return self


class L2P(FrozenBackbone):
    """Train a pool of prompts and the keys by which images choose among them."""

    Config = L2PConfig
    config: L2PConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    prompted: ClassVar[tuple[Reading, ...]] = ("images",)

    def build(self) -> None:
        """Put the pool in."""
        layers = first_layers(self.backbone, self.config.depth)
        self.pool = Prefixes(self.backbone, layers, self.config.pool, self.config.length)
        self.keys = nn.Parameter(torch.zeros(self.config.pool, self.backbone.width))
        self.backbone.prompting.router = self.choose

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw a new pool with new keys."""
        super().reset(seed)
        generator = torch.Generator().manual_seed(seed)
        self.pool.draw(generator, keys=1.0, values=1.0)
        self.keys.copy_(torch.rand(self.keys.shape, generator=generator) * 2 - 1)

    def choose(self, query: Tensor) -> Route:
        """Returns the N prompts with the most similar keys for image embeddings [B, D]."""
        chosen = cosines(query, self.keys).topk(self.config.chosen).indices
        return Route(chosen, torch.ones(len(query), device=query.device))

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss, and what draws the chosen keys towards their images."""
        similarity = cosines(self.backbone.query(batch.pixels), self.keys)
        taken = similarity.topk(self.config.chosen).values.sum(dim=1)
        return super().loss(batch) - self.config.pull * taken.mean()
