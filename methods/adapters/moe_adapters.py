"""MoE-Adapters: experts beside every MLP of a frozen backbone, and one router per task.

Yu et al., "Boosting Continual Learning of Vision-Language Models via Mixture-of-Experts Adapters"
(CVPR 2024, arXiv 2403.11549). In every transformer block

    y = MLP(x) + sum_i W_i E_i(x),    W = softmax(top-k(R_t(c)))              (eq. 1, 2)

with experts E_i (`mixture_of_experts.py`) that all tasks share and one router R_t per task, which
looks at one token c: the class token of an image. Experts and the new router are trained on the
task's loss; then the k experts that it chose most often are frozen for ever, block by block
("activate and freeze"). Autoencoders (`ddas.py`) choose the router of a test sample; a sample of no
learnt task goes to the untouched backbone.

Left open there and decided here:
- Experts read what the MLP reads, after its normalisation; in the authors' code, before.
- The first token routes all tokens of its sequence, in towers that read either images or texts
  (without a class token, as in SigLIP, it is that of a patch). Blocks that read an image and then a
  text, as in fusion backbones, also go on with cached sequences whose first token is not there:
  every token routes itself. Padding is then counted too when experts are frozen.
- A text that comes with an image gets the image's router, as in the authors' code.
- Choices are counted over a task's training alone, and an expert may be frozen by several tasks; so
  there can come fewer than k. If all are frozen only routers learn.
- There is no loss that balances the load (in the authors' code it is computed and not used), and
  targets are not smoothed.
- `task: known` takes the router of the sample's own task instead of asking autoencoders.

State: experts, which of them are frozen, routers and autoencoders by task.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.adapters.adapter import mlps
from methods.adapters.ddas import SelectorOptions, fit_autoencoder, select_task
from methods.adapters.mixture_of_experts import ExpertOptions, Mixture, Noise
from methods.backbones.base import ADAPTED, Family, Tower
from methods.backbones.prompting import Route
from methods.base import MethodConfig, State
from methods.data import Batch, Stage
from methods.parallel import sum_over_workers
from methods.seeds import derive_seed, torch_seeded
from methods.tools.frozen_backbone import FrozenBackbone, FrozenBackboneConfig
from methods.tools.image_features import image_features
from methods.tools.states import by_task, joined


class MoEAdaptersConfig(FrozenBackboneConfig):
    """Options of `moe_adapters`."""

    experts: ExpertOptions = Field(default=ExpertOptions(), description="Shape of the experts.")
    selector: SelectorOptions = Field(
        default=SelectorOptions(), description="How the task of a sample is found out."
    )
    task: Literal["inferred", "known"] = Field(
        default="inferred",
        description="Whether autoencoders choose the router of a sample, or its own task does.",
    )


class MoEAdapters(FrozenBackbone):
    """Train experts and a router, then freeze the experts that were used most."""

    Config = MoEAdaptersConfig
    config: MoEAdaptersConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    repeats_passes: ClassVar[bool] = False
    uses_task_id: ClassVar[bool] = True

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns those with layers that adapters go to."""
        return ADAPTED

    def build(self) -> None:
        """Put experts beside the MLP of every block."""
        images, texts = (
            {name.rpartition(".")[0] for name in self.backbone.attention(reading)}
            for reading in ("images", "texts")
        )
        self.prompting = self.backbone.prompting
        self.mixtures: Any = nn.ModuleList()
        for name, width in mlps(self.backbone).items():
            block = name.removesuffix(".mlp")
            mixture = Mixture(
                width,
                self.config.experts,
                self.prompting,
                first=not (block in images and block in texts),
                images=block in images or self.backbone.tower(block) == "vision",
            )
            self.prompting.in_texts |= block in texts
            self.backbone.get_submodule(name).register_forward_hook(mixture.beside)
            self.mixtures.append(mixture)
        self.frozen = torch.zeros(len(self.mixtures), self.config.experts.count, dtype=torch.bool)
        self.learnt: dict[str, State] = {}

    def reset(self, seed: int) -> None:
        """Return to the untouched backbone, with new experts that change nothing yet."""
        super().reset(seed)
        with torch_seeded(seed):
            for mixture in self.mixtures:
                mixture.draw()

    def before_task(self, stage: Stage) -> None:
        """Give all samples of the task a new router; frozen experts stay as they are."""
        self.noise = Noise(stage)
        for mixture, frozen in zip(self.mixtures, self.frozen, strict=True):
            mixture.begin(self.noise, frozen)
        self._send_to(0)

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss."""
        self.noise.begin(batch)
        return super().loss(batch)

    def step_state(self) -> State:
        """Returns how far the noise is, and how often each expert was used."""
        used = {f"used/{i}": mixture.used for i, mixture in enumerate(self.mixtures)}
        return used | self.noise.state()

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        for i, mixture in enumerate(self.mixtures):
            mixture.used.copy_(state[f"used/{i}"])
        self.noise.load_state(state)

    def after_task(self, stage: Stage) -> None:
        """Freeze the experts that were used most, keep the router, learn to recognise the task."""
        sum_over_workers([mixture.used for mixture in self.mixtures])
        for mixture, frozen in zip(self.mixtures, self.frozen, strict=True):
            frozen[mixture.used.cpu().topk(mixture.active).indices] = True
        routers = {
            f"router{i}": mixture.router.detach().clone() for i, mixture in enumerate(self.mixtures)
        }
        seed = derive_seed(stage.replicate_seed, "selector", stage.task)
        features = image_features(self.backbone, stage)
        selector = fit_autoencoder(features, self.config.selector, seed)
        self._learn({**self.learnt, stage.task: routers | selector})

    def _learn(self, tasks: Mapping[str, State]) -> None:
        """Hold what there is of all tasks learnt, numbered by name, and let samples choose."""
        self.learnt = {
            task: {name: tensor.to(self.backbone.device) for name, tensor in tasks[task].items()}
            for task in sorted(tasks)
        }
        for i, mixture in enumerate(self.mixtures):
            mixture.hold([parts[f"router{i}"] for parts in self.learnt.values()])
        self._send_to(None)
        if self.learnt and self.config.task == "inferred":
            self.prompting.router = partial(choose, list(self.learnt.values()))

    def _send_to(self, number: int | None) -> None:
        """Give all samples one router, or none."""
        self.prompting.router = None
        self.prompting.route = None if number is None else Route.to(number)

    def select(self, task: str | None) -> None:
        """With known tasks, take the router of the task."""
        if self.config.task == "known":
            names = list(self.learnt)
            self._send_to(names.index(task) if task in names else None)

    def extra_state(self) -> State:
        """Returns which experts are frozen; routers and autoencoders by task."""
        return joined(self.learnt) | {"frozen": self.frozen}

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""
        self.frozen = state["frozen"].clone()
        self._learn(by_task(state))


def choose(autoencoders: Sequence[State], query: Tensor) -> Route:
    """Returns the task of every image by its untouched embedding [B, D]; weight 0: none."""
    task, within = select_task(autoencoders, query)
    return Route(task.unsqueeze(1), within.float())
