"""A low-rank adapter for every task, merged into the weights when the task is learnt.

What `o_lora`, `inflora` and `lora` with `after_task: merge` have in common (see low_rank.py): the
updates of earlier tasks stay in force, W_t = W_0 + (alpha / r) sum_{i <= t} B_i A_i, but cost
neither time nor memory, and no more is trained than one adapter.

State: the adapter, and per layer the factors of all earlier ones, A [t, r, inputs] and
B [t, outputs, r]. That is a few thousandths of the weights that they are merged into, for each
task. A state is loaded by merging them again, one after the other and from the untouched weights,
which gives the weights that merging after each task gave, bit for bit.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from methods.base import MethodConfig, State, part_of
from methods.baselines.finetune import FineTune
from methods.data import Stage
from methods.held_tensors import on_disk
from methods.seeds import derive_seed
from methods.tools.low_rank import (
    ADAPTER_LR,
    LoraOptions,
    draw_lora,
    lora_layers,
    lora_parameters,
    merge_factors,
    merge_lora,
)


class MergedLoraConfig(MethodConfig, LoraOptions):
    """Options of all methods with an adapter per task."""

    lr: float | None = Field(
        default=ADAPTER_LR, gt=0, description="Learning rate of the adapter; null: the study's."
    )


class MergedLora(FineTune):
    """Train a low-rank adapter beside frozen weights, then make it a part of them."""

    Config = MergedLoraConfig
    config: MergedLoraConfig
    resumable: ClassVar[bool] = True

    @property
    def adapter(self) -> LoraOptions:
        """The adapter of the task at hand."""
        return self.config

    @property
    def merges(self) -> bool:
        """Whether adapters become a part of the weights."""
        return True

    def build(self) -> None:
        """Put the adapter in, and keep what it will be merged into as it is now."""
        super().build()
        layers = lora_layers(self) if self.merges else {}
        self.merged: dict[str, nn.Parameter] = {
            name: layer.get_base_layer().weight for name, layer in layers.items()
        }
        self._untouched = on_disk(
            {name: weight.detach().to("cpu", copy=True) for name, weight in self.merged.items()}
        )
        self.learnt: State = {}
        """Factors of all tasks learnt, on the CPU: A/LAYER and B/LAYER, task by task."""

    def changed(self) -> list[str]:
        """Returns the adapter's weights, and those that it is merged into."""
        return [*lora_parameters(self), *(f"{name}.base_layer.weight" for name in self.merged)]

    def after_task(self, stage: Stage) -> None:
        """Merge, and draw the next adapter."""
        for name, layer in lora_layers(self).items():
            for factor, part in (("A", layer.lora_A), ("B", layer.lora_B)):
                now = part["default"].weight.detach().to("cpu", copy=True).unsqueeze(0)
                before = self.learnt.get(f"{factor}/{name}", now[:0])
                self.learnt[f"{factor}/{name}"] = torch.cat([before, now])
        merge_lora(self)
        draw_lora(self, derive_seed(stage.seed, "adapter"))

    def extra_state(self) -> State:
        """Returns the factors of all tasks learnt."""
        return {f"merged/{name}": factors for name, factors in self.learnt.items()}

    def load_extra_state(self, state: State) -> None:
        """Return to the weights of an earlier moment."""
        self.learnt = part_of(state, "merged/")
        layers = lora_layers(self)
        for name, weight in self.merged.items():
            weight.copy_(self._untouched[name])
            if self.learnt:
                for a, b in zip(self.learnt[f"A/{name}"], self.learnt[f"B/{name}"], strict=True):
                    # Copies lie as the adapter's own factors lay: other products may round
                    # otherwise.
                    own = (part.to(weight.device, copy=True) for part in (a, b))
                    merge_factors(layers[name], *own)
