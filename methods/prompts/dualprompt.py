"""DualPrompt: general prompts for all tasks, and expert prompts for each.

Wang et al., "DualPrompt: Complementary Prompting for Rehearsal-free Continual Learning" (ECCV 2022,
arXiv 2204.04799). A frozen backbone gets prefixes of keys and values (section 4.2, "prefix
tuning"): general ones g in its first layers, trained on through all tasks, and in the layers after
them expert ones e_t of task t, which only train in that task. Each expert has a key k_t; with q(x)
the frozen backbone's embedding of image x, task t trains g, e_t and k_t by

    loss = task loss - lambda cos(q(x), k_t)                                        (eq. 7)

and at test time an image gets the expert with the most similar key. Two general layers, three
expert layers, 5 tokens and lambda = 1 are those of the authors' PyTorch port, as is that the expert
of a task starts as a copy of the one before (`copy_last`).

Left open there, or different here:

- Every image chooses its expert by itself; the authors' code takes the majority of a batch.
- Prompted are the layers that read images: a dual encoder's image tower, a fusion backbone's
  language model. Choices are the task's own, so that no head grows and nothing is masked.
- Where there are fewer than five such layers, the defaults are smaller: 1 and 1 of two, 2 and 1 of
  three. More layers than there are may not be asked for.
- Keys are drawn for every task by its name; nothing depends on how many tasks will come.

The general prompts make the training of a task depend on those before it, and its expert slowly
goes stale as they move on.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.backbones.base import Reading
from methods.backbones.prompting import Route
from methods.base import State
from methods.data import Batch, Stage
from methods.prompts.base import Prefixes, cosines, first_layers
from methods.seeds import derive_seed
from methods.tools.frozen_backbone import FrozenBackbone, FrozenBackboneConfig
from methods.tools.states import by_task, joined


class DualPromptConfig(FrozenBackboneConfig):
    """Options of `dualprompt`."""

    general_layers: int | None = Field(
        default=None,
        ge=1,
        description="How many layers have general prompts; null: 2, or 1 where there are only two.",
    )
    expert_layers: int | None = Field(
        default=None,
        ge=1,
        description="How many after them have an expert's; null: 3, or all where fewer are left.",
    )
    general_length: int = Field(default=5, ge=1, description="Pairs of key and value, general.")
    expert_length: int = Field(default=5, ge=1, description="Pairs of key and value of an expert.")
    pull: float = Field(
        default=1.0, ge=0, description="Weight lambda of the key's similarity with the images."
    )
    copy_last: bool = Field(
        default=True, description="A task's expert starts as the last one, else newly drawn."
    )


class DualPrompt(FrozenBackbone):
    """Train shared prompts, and one expert prompt per task that images choose by its key."""

    Config = DualPromptConfig
    config: DualPromptConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    prompted: ClassVar[tuple[Reading, ...]] = ("images",)

    def build(self) -> None:
        """Put the general prompts and one expert in."""
        options, there = self.config, len(self.backbone.attention("images"))
        general = options.general_layers or min(2, max(1, there - 1))
        expert = options.expert_layers or min(3, max(1, there - general))
        layers = first_layers(self.backbone, general + expert)
        self.general = Prefixes(self.backbone, layers[:general], 1, options.general_length)
        self.expert = Prefixes(self.backbone, layers[general:], 1, options.expert_length)
        self.key = nn.Parameter(torch.zeros(self.backbone.width))
        self.learnt: dict[str, State] = {}

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw new prompts and forget all experts."""
        super().reset(seed)
        generator = torch.Generator().manual_seed(seed)
        self.general.draw(generator, keys=1.0, values=1.0)
        self.expert.draw(generator, keys=1.0, values=1.0)

    @torch.no_grad()
    def before_task(self, stage: Stage) -> None:
        """Begin an expert; all images of the task get it."""
        generator = torch.Generator().manual_seed(
            derive_seed(stage.replicate_seed, "expert", stage.task)
        )
        self.key.copy_(2 * torch.rand(self.key.shape, generator=generator) - 1)
        if not self.config.copy_last:
            self.expert.draw(generator, keys=1.0, values=1.0)
        self.expert.hold([])
        self.backbone.prompting.router = None
        self.backbone.prompting.route = Route.to(0)

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss, and what draws the task's key towards its images."""
        similarity = cosines(self.backbone.query(batch.pixels), self.key.unsqueeze(0))
        return super().loss(batch) - self.config.pull * similarity.mean()

    def after_task(self, stage: Stage) -> None:
        """Keep the expert with its key; from now on images choose."""
        expert = {"key": self.key.detach(), **self.expert.state_dict()}
        self.learnt[stage.task] = {
            name: tensor.to("cpu", copy=True) for name, tensor in expert.items()
        }
        self._let_images_choose()

    def choose(self, query: Tensor) -> Route:
        """Returns the expert with the most similar key for image embeddings [B, D]."""
        keys = torch.stack([expert["key"] for expert in self.learnt.values()]).to(query.device)
        chosen = cosines(query, keys).argmax(dim=1, keepdim=True)
        return Route(chosen, torch.ones(len(query), device=query.device))

    def routing(self, batch: Batch) -> dict[str, Tensor]:
        """Returns whose expert every image chooses."""
        route = self.backbone.route(batch.pixels) if self.learnt else None
        return route.shares(list(self.learnt)) if route else {}

    def extra_state(self) -> State:
        """Returns all experts, by task."""
        return joined(self.learnt)

    def load_extra_state(self, state: State) -> None:
        """Take these experts."""
        self.learnt = by_task(state)
        self._let_images_choose()

    def _let_images_choose(self) -> None:
        self.expert.hold(list(self.learnt.values()))
        self.backbone.prompting.router = self.choose if self.learnt else None
        self.backbone.prompting.route = None
