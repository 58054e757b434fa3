"""OSF: train all of a layer but its leading singular directions.

Nayak et al., "Sculpting Subspaces: Constrained Full Fine-Tuning in LLMs for Continual Learning"
(ICLR 2026, arXiv 2504.07097). Before every task each weight is split by its singular values,

    W = U_high S_high V_high^T + U_low S_low V_low^T,

the leading directions, which stand for what the model knows, are frozen, and U_low, S_low and V_low
are trained, with gradients projected out of the span of U_high and of V_high. All this is peft's
tuner of that name. What it leaves to its user is done here: after a task the update becomes a part
of the weights, and they are split anew before the next, so that what was learnt can be among what
is kept.

Decided here, where the paper leaves it open or this engine differs:
- The same share of directions is kept in all layers, half by default, as in peft. The paper sets it
  by layer, from how much a layer's outputs resemble its inputs.
- It is the same for all tasks, too. peft's guide lets it grow from task to task: a hyper-parameter
  by position, which would protect late tasks better.
- Layers are those that low-rank adapters go to; the rest of the backbone stays frozen.
- Factors are those of the weights themselves, not of an update that begins at zero: they learn at
  the study's rate, which is that of full weights, and not at one of adapters.
- Gradients are projected and Adam then scales them entry by entry, as in the authors' training: its
  steps leave the free directions. On the embedded world a seventh of an update lies outside of
  them on either side, and a thousandth on both.

State: the weights of these layers; the factors are zero between tasks.

Not documented as public by peft, checked with peft 0.21, and used in this file alone:
`decompose_weight_matrix`, `osf_svd_params` and the `_osf_*` buffers of a layer.
tests/methods/test_private_interfaces.py fails when one of them changes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.backbones.base import ADAPTED, Family, Tower
from methods.base import MethodConfig, State, part_of
from methods.baselines.finetune import FineTune
from methods.data import Stage
from methods.held_tensors import hold_exactly
from methods.parallel import first_of_workers
from methods.tools.low_rank import LoraOptions

if TYPE_CHECKING:
    from peft.tuners.osf import OSFLayer


class OSFConfig(MethodConfig):
    """Options of `osf`."""

    kept: float = Field(
        default=0.5, gt=0, lt=1, description="Share of a weight's directions that stays frozen."
    )


class OSF(FineTune):
    """Train the minor singular directions of all weights, which are split anew for every task."""

    Config = OSFConfig
    config: OSFConfig
    resumable: ClassVar[bool] = True

    @property
    def adapter(self) -> LoraOptions | None:
        """There is no low-rank adapter."""
        return None

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns those with layers that adapters go to."""
        return ADAPTED

    @torch.no_grad()
    def build(self) -> None:
        """Put the factors in."""
        import peft
        from peft.tuners.osf import OSFLayer

        hold_exactly(self.backbone, (f"{name}.weight" for name in self.backbone.adapted()))
        split = peft.OSFConfig(
            effective_rank=self.config.kept, target_modules=self.backbone.adapted()
        )
        peft.inject_adapter_in_model(split, self.backbone)
        self.layers: dict[str, OSFLayer] = {
            name: layer for name, layer in self.named_modules() if isinstance(layer, OSFLayer)
        }
        self.clear()

    def trainable(self) -> list[str]:
        """Returns the minor factors of every weight."""
        return [name for name, _ in self.named_parameters() if ".osf_svd_params." in name]

    def changed(self) -> list[str]:
        """Returns the factors, and the weights that updates become a part of."""
        return [*self.trainable(), *(f"{name}.base_layer.weight" for name in self.layers)]

    @torch.no_grad()
    def before_task(self, stage: Stage) -> None:
        """Split the weights."""
        from peft.tuners.osf.utils import decompose_weight_matrix

        for layer in self.layers.values():
            weight = layer.get_base_layer().weight
            found = decompose_weight_matrix(weight, layer.effective_rank["default"])
            for name, factor in factors(layer):
                factor.copy_(found[name])
            first_of_workers(factor for _, factor in factors(layer))
            layer.merged_adapters.clear()

    @torch.no_grad()
    def after_task(self, stage: Stage) -> None:
        """Let the update become a part of the weights."""
        for layer in self.layers.values():
            layer.get_base_layer().weight += layer.get_delta_weight("default")
        self.clear()

    def clear(self) -> None:
        """Have no factors, and let layers do without them."""
        for layer in self.layers.values():
            for _, factor in factors(layer):
                factor.zero_()
            layer.merged_adapters = ["default"]

    def extra_state(self) -> State:
        """Returns the weights."""
        return {
            f"merged/{name}": layer.get_base_layer().weight for name, layer in self.layers.items()
        }

    def load_extra_state(self, state: State) -> None:
        """Return to the weights of an earlier moment."""
        for name, layer in self.layers.items():
            layer.get_base_layer().weight.copy_(state[f"merged/{name}"])

    def state(self) -> State:
        """Returns the weights alone: what is trained has become a part of them."""
        return {name: part for name, part in super().state().items() if name.startswith("extra/")}

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Return to a state that `state()` gave."""
        self.load_extra_state(part_of(state, "extra/"))
        self.clear()


def factors(layer: "OSFLayer") -> Iterator[tuple[str, Tensor]]:
    """By the names of `decompose_weight_matrix`, all that peft keeps of a layer's.

    Of the leading ones it keeps those that the minor ones do not imply; of the minor ones, also
    what they were at first, as an update is the difference to that.
    """
    for name in ("U_low", "S_low", "V_low"):
        yield name, layer.osf_svd_params["default"][name]
        yield name, getattr(layer, f"_osf_{name}_init")["default"]
    for name in ("U_high", "V_high"):
        held = getattr(layer, f"_osf_{name}")
        if "default" in held:
            yield name, held["default"]
