"""MoE-Adapters: experts beside every MLP of a frozen backbone, and one router per task.

Yu et al., "Boosting Continual Learning of Vision-Language Models via Mixture-of-Experts Adapters"
(CVPR 2024, arXiv 2403.11549). In every transformer block

    y = MLP(x) + sum_i W_i E_i(x),    W = softmax(top-k(R_t(c)))              (eq. 1, 2)

with experts E_i (`mixture_of_experts.py`) that all tasks share and one router R_t per task, which
looks at one token c: the class token of an image. Experts and the new router are trained on the
task's loss; then the k experts that it chose most often are frozen for ever, block by block
("activate and freeze"). Autoencoders (`ddas.py`) choose the router of a test sample; a sample of no
learnt task, as far as an autoencoder of the study's reference pool can tell, goes to the untouched
backbone.

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
- `task: known` takes the router of the sample's own task instead of asking autoencoders; then there
  are none, and no reference pool is needed.

State: experts, which of them are frozen, routers and autoencoders by task, that of no task.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.adapters.adapter import mlps
from methods.adapters.ddas import SelectorOptions, fit_autoencoder, scale_of, select_task
from methods.adapters.mixture_of_experts import ExpertOptions, Mixture, Noise
from methods.backbones.base import ADAPTED, Family, Tower
from methods.backbones.prompting import Route
from methods.base import MethodConfig, Requirement, State, part_of
from methods.data import Batch, Stage
from methods.parallel import sum_over_workers
from methods.seeds import derive_seed, torch_seeded
from methods.tools.frozen_backbone import FrozenBackbone, FrozenBackboneConfig
from methods.tools.image_features import image_features
from methods.tools.states import by_task, joined


class MoEAdaptersConfig(FrozenBackboneConfig):
    """Options of `moe_adapters`."""

    lr: float | None = Field(
        default=1e-3,
        gt=0,
        description="Learning rate of experts and routers, the median of the authors' for eleven "
        "tasks (1e-4 to 5e-3); null: the study's.",
    )
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

    requires: ClassVar[frozenset[Requirement]] = frozenset({"reference"})

    @classmethod
    def needs(cls, config: MethodConfig) -> frozenset[Requirement]:
        """Returns a reference pool, unless tasks are known."""
        return frozenset() if cls.knows_task(config) else cls.requires

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns whether the task chooses the router."""
        return isinstance(config, MoEAdaptersConfig) and config.task == "known"

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
        self.of_no_task: State = {}

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
        self._learn({**self.learnt, stage.task: routers | self._selector(stage)})

    def _selector(self, stage: Stage) -> State:
        """Returns the autoencoder of the task, once there is that of no task; none if known."""
        if self.config.task == "known":
            return {}
        assert stage.reference is not None
        pool, options = stage.reference.image_embeddings, self.config.selector
        scale, seed = scale_of(pool), stage.replicate_seed
        if not self.of_no_task:
            of_no_task = fit_autoencoder(pool, scale, options, derive_seed(seed, "of no task"))
            self.of_no_task = _on(self.backbone.device, of_no_task)
        features = image_features(self.backbone, stage)
        return fit_autoencoder(features, scale, options, derive_seed(seed, "selector", stage.task))

    def _learn(self, tasks: Mapping[str, State]) -> None:
        """Hold what there is of all tasks learnt, numbered by name, and let samples choose."""
        self.learnt = {task: _on(self.backbone.device, tasks[task]) for task in sorted(tasks)}
        for i, mixture in enumerate(self.mixtures):
            mixture.hold([parts[f"router{i}"] for parts in self.learnt.values()])
        self._send_to(None)
        if self.learnt and self.config.task == "inferred":
            self.prompting.router = partial(choose, list(self.learnt.values()), self.of_no_task)

    def _send_to(self, number: int | None) -> None:
        """Give all samples one router, or none."""
        self.prompting.router = None
        self.prompting.route = None if number is None else Route.to(number)

    def select(self, task: str | None) -> None:
        """With known tasks, take the router of the task."""
        if self.config.task == "known":
            names = list(self.learnt)
            self._send_to(names.index(task) if task in names else None)

    def routing(self, batch: Batch) -> dict[str, Tensor]:
        """Returns whose router every sample gets, if autoencoders choose it."""
        route = self.backbone.route(batch.pixels) if self.prompting.router else None
        return route.shares(list(self.learnt)) if route else {}

    def extra_state(self) -> State:
        """Returns which experts are frozen; routers and autoencoders by task, that of no task."""
        of_no_task = {f"none.{name}": tensor for name, tensor in self.of_no_task.items()}
        return joined(self.learnt) | of_no_task | {"frozen": self.frozen}

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""
        self.frozen = state["frozen"].clone()
        rest = {name: tensor for name, tensor in state.items() if "/" not in name}
        self.of_no_task = _on(self.backbone.device, part_of(rest, "none."))
        self._learn(by_task(state))


def _on(device: torch.device, state: State) -> State:
    return {name: tensor.to(device) for name, tensor in state.items()}


def choose(autoencoders: Sequence[State], of_no_task: State, query: Tensor) -> Route:
    """Returns the task of every image by its untouched embedding [B, D]; weight 0: none."""
    task, within = select_task(autoencoders, of_no_task, query)
    return Route(task.unsqueeze(1), within.float())
