"""Sequential fine-tuning of bottleneck adapters, one at the MLP of every block.

    a(x) = W_up s(W_down x + b_down) + b_up

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP" (ICML 2019, arXiv 1902.00751) put
it after a sublayer, h <- h + a(h) with h what the sublayer gives (figure 2). He et al., "Towards a
Unified View of Parameter-Efficient Transfer Learning" (ICLR 2022, arXiv 2110.04366) put it beside
one, h <- h + a(x) with x what the sublayer gets (table 1, "parallel adapter").

Left open there and decided here: W_up and b_up are zero at first, so that nothing changes before
training; W_down is drawn as torch draws a linear layer. s is ReLU, as in He et al. Only MLPs get
adapters, as there ("ffn"), where Houlsby et al. have a second one after attention. What an MLP gets
is normalised already in all models of today. Layers and norms of the backbone stay frozen; Houlsby
et al. train the norms too.

peft has no such adapter (its LoRA has no s); MLPs are those that low-rank adapters would go to, so
a fusion backbone's vision tower gets none.
"""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from methods.backbones.base import ADAPTED, Backbone, Family, Tower
from methods.base import MethodConfig
from methods.baselines.finetune import FineTune
from methods.seeds import torch_seeded
from methods.tools.low_rank import ADAPTER_LR, LoraOptions


class AdapterConfig(MethodConfig):
    """Options of `adapter`."""

    lr: float | None = Field(
        default=ADAPTER_LR, gt=0, description="Learning rate of bottlenecks; null: the study's."
    )
    width: int = Field(
        default=64, ge=1, description="Rows of W_down: how narrow the bottleneck is."
    )
    place: Literal["after", "beside"] = Field(
        default="beside", description="Whether it reads what the MLP gives, or what it gets."
    )


class Bottleneck(nn.Module):
    """W_up relu(W_down x + b_down) + b_up, of dimension `size` inside and out."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(size, width)
        self.up = nn.Linear(width, size)

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the bottleneck gives for [..., size], of the same shape."""
        change: Tensor = self.up(self.down(x).relu())
        return change

    def draw(self) -> None:
        """Draw initial weights, from torch's own generator."""
        self.down.reset_parameters()
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)


class Adapter(FineTune):
    """Train a bottleneck at every MLP, beside frozen weights."""

    Config = AdapterConfig
    config: AdapterConfig
    resumable: ClassVar[bool] = True

    @property
    def adapter(self) -> LoraOptions | None:
        """There is no low-rank adapter."""
        return None

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns those with layers that adapters go to."""
        return ADAPTED

    def build(self) -> None:
        """Put the bottlenecks in."""
        hook = _add_after if self.config.place == "after" else _add_beside
        for name, size in mlps(self.backbone).items():
            mlp = self.backbone.get_submodule(name)
            mlp.add_module("bottleneck", Bottleneck(size, self.config.width))
            mlp.register_forward_hook(hook)

    def trainable(self) -> list[str]:
        """Returns the bottlenecks' weights."""
        return [name for name, _ in self.named_parameters() if ".bottleneck." in name]

    def reset(self, seed: int) -> None:
        """Return to the untouched backbone, with new bottlenecks that change nothing yet."""
        super().reset(seed)
        with torch_seeded(seed):
            for module in self.modules():
                if isinstance(module, Bottleneck):
                    module.draw()


def _add_after(mlp: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    change: Tensor = mlp.get_submodule("bottleneck")(output)
    return output + change


def _add_beside(mlp: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    change: Tensor = mlp.get_submodule("bottleneck")(inputs[0])
    return output + change


def mlps(backbone: Backbone) -> dict[str, int]:
    """Returns the MLPs whose layers can be adapted, with the size of what they get and give.

    Raises:
        ValueError: no block has a part of that name.
    """
    found: dict[str, int] = {}
    for layer in backbone.adapted():
        block, part, _ = layer.rpartition(".mlp.")
        if part:  # its first layer comes first
            found.setdefault(f"{block}.mlp", backbone.get_parameter(f"{layer}.weight").shape[1])
    if not found:
        raise ValueError(
            "Bottlenecks need blocks with a part called 'mlp', beside which they are put; "
            f"the layers of this backbone are called {backbone.adapted()[:3]}."
        )
    return found
