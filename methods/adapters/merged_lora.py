"""A low-rank adapter for every task, merged into the weights when the task is learnt.

What `o_lora`, `inflora` and `lora` with `after_task: merge` have in common (see low_rank.py): the
updates of earlier tasks stay in force, W_t = W_0 + (alpha / r) sum_{i <= t} B_i A_i, but cost
neither time nor memory, and no more is trained than one adapter.

State: the adapter, and the merged weights of all layers that have one.
"""

from typing import ClassVar

from methods.base import MethodConfig, State
from methods.baselines.finetune import FineTune
from methods.data import Stage
from methods.seeds import derive_seed
from methods.tools.low_rank import LoraOptions, draw_lora, lora_layers, lora_parameters, merge_lora


class MergedLoraConfig(MethodConfig, LoraOptions):
    """Options of all methods with an adapter per task."""


class MergedLora(FineTune):
    """Train a low-rank adapter beside frozen weights, then make it a part of them."""

    Config = MergedLoraConfig
    config: MergedLoraConfig
    resumable: ClassVar[bool] = True

    @property
    def adapter(self) -> LoraOptions:
        """The adapter of the task at hand."""
        return self.config

    def build(self) -> None:
        """Put the adapter in, and look up the weights that it will be merged into."""
        super().build()
        self.merged = {
            name: layer.get_base_layer().weight for name, layer in lora_layers(self).items()
        }

    def changed(self) -> list[str]:
        """Returns the adapter's weights, and those that it is merged into."""
        return [*lora_parameters(self), *(f"{name}.base_layer.weight" for name in self.merged)]

    def after_task(self, stage: Stage) -> None:
        """Merge, and draw the next adapter."""
        merge_lora(self)
        draw_lora(self, derive_seed(stage.seed, "adapter"))

    def extra_state(self) -> State:
        """Returns the weights of the layers that have an adapter."""
        return {f"merged/{name}": weight for name, weight in self.merged.items()}

    def load_extra_state(self, state: State) -> None:
        """Return to the weights of an earlier moment."""
        for name, weight in self.merged.items():
            weight.copy_(state[f"merged/{name}"])
