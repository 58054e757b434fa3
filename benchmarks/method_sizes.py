"""Counts what methods train, and what they keep from task to task, on models of real size.

    python benchmarks/method_sizes.py            # a minute, without any weights

The architectures are those of transformers' configurations, of tensors that have shapes and no
content. On these every method is built as in a study, with its defaults, or with
`lora: {rank: 16}` where the column says so; what it trains and what its first state takes are read
off it. What it adds with every task is computed by `grown` below. Both are held against states of
tiny models in tests/methods/test_method_sizes.py.

A state is what a stage leaves for the next one, in the run folder. Of methods that combine trained
states, one per task is kept; the others have one that may grow. For data it is assumed that a task
has 100 classes, and that a memory is full. What the gates of `dpw` measure, some numbers of a
layer, is left out.

Prints the rows of the table in docs/large_models.md: trained weights in millions and states in GB
(of inflora, at most).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from methods import METHODS
from methods.adapters.inflora import InfLora
from methods.adapters.merged_lora import MergedLora
from methods.adapters.moe_adapters import MoEAdapters
from methods.analytic.rail import RAIL
from methods.backbones.base import Backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.families import DUAL_ENCODERS
from methods.backbones.fusion import Fusion
from methods.base import Method
from methods.prompts.dualprompt import DualPrompt
from methods.prompts.routed import Routed
from methods.regularisation.ewc import EWC
from methods.regularisation.gnsp import GNSP
from methods.regularisation.penalty import Anchored
from methods.replay.derpp import DERpp
from methods.replay.er import ER
from methods.tools.low_rank import lora_layers
from methods.without_content import without_content
from sweep.registry import resolve

CLASSES = 100
"""Of a task, where logits or targets are kept."""
ADAPTER = {"lora": {"rank": 16}}
"""On the large model, of methods that can train an adapter instead of all weights."""
SAME_INPUTS = ({"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"})
"""Layers of a block that read the same."""
PAPERS = {
    "finetune": "14.6 GB peak in training",
    "zscl": "43 GB peak in training",
    "moe_adapters": "59.8 M trained, 15.5 GB peak in training",
    "rail": "15000 units: a Gram matrix of 0.9 GB in fp32",
    "gnsp": "Gram matrices of 0.48 GB in fp32",
    "diki": "0.86 % of the weights that earlier methods train, for eleven tasks",
}
"""For CLIP ViT-B/16."""
SAME: dict[str, tuple[str, ...]] = {
    "finetune": (
        *("joint", "wise_ft", "weight_ensemble", "ema", "l2_sp", "contrastive", "lwf", "zscl"),
        *("dual_teacher", "modx", "gift"),
    ),
    "online_ewc": ("si", "mas", "multimodal_ewc"),
    "individual": (
        *("average", "task_arithmetic", "ties", "dare", "magmax", "magmax_seq", "randmix"),
        *("opcm", "consensus", "tall", "condu", "condu_once", "wise_path"),
    ),
}
"""Methods that are counted once, with those that have the same sizes."""
OPTIONS: dict[str, dict[str, Any]] = {
    "lora (after_task: merge)": {"method": "lora", "after_task": "merge"}
}
"""Further rows, beside all methods with their defaults."""


class _OfSize(Backbone):
    """What of a backbone methods need to be built; the rest is that of the family."""

    def __init__(self, model: nn.Module, width: int) -> None:
        Backbone.__init__(self)
        self.model, self._width = model, width
        self.traits = DUAL_ENCODERS.get(model.config.model_type)

    @property
    def width(self) -> int:
        """D."""
        return self._width

    def embed_texts(self, texts: Any) -> Tensor:
        """Returns nothing of use."""
        return torch.zeros(len(texts), self._width)


class DualEncoderOfSize(_OfSize, DualEncoder):
    """A dual encoder without content."""


class FusionOfSize(_OfSize, Fusion):
    """A fusion model without content."""


def vit_b16() -> Backbone:
    """Returns CLIP ViT-B/16."""
    config = CLIPConfig(vision_config=CLIPVisionConfig(patch_size=16).to_dict(), projection_dim=512)
    return DualEncoderOfSize(CLIPModel(config), 512)


def llava_7b() -> Backbone:
    """Returns LLaVA-1.5-7B."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    language = LlamaConfig(vocab_size=32064)
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=language))
    return FusionOfSize(model, language.hidden_size)


def trained(method: Method) -> int:
    """Returns the number of weights that stages may train."""
    return sum(method.get_parameter(name).numel() for name in method.trainable())


def state_bytes(method: Method, tasks: int, classes: int = CLASSES) -> int:
    """Returns the bytes of all states that a method needs to go on after some tasks.

    Args:
        method: As it is after `reset`.
        tasks: How many it has learnt.
        classes: Of each of them.
    """
    first = sum(tensor.nbytes for tensor in method.state().values())
    if method.combines_over:
        return tasks * (first + grown(method, 1, classes))
    return first + grown(method, tasks, classes)


def grown(method: Method, tasks: int, classes: int) -> int:
    """Returns the bytes that a state has gained since `reset`; for `inflora`, at most."""
    backbone: Any = method.backbone
    match method:
        case MergedLora() if method.merges:
            layers = {
                name: layer.get_base_layer().weight.shape
                for name, layer in lora_layers(method).items()
            }
            factors = 4 * method.config.rank * sum(map(sum, layers.values()))
            read = {inputs_of(name): inputs for name, (_, inputs) in layers.items()}
            spaces = sum(4 * inputs * (inputs // 2) for inputs in read.values())
            return tasks * factors + (spaces if isinstance(method, InfLora) else 0)
        case EWC() | Anchored():
            kept = sum(method.get_parameter(name).numel() for name in method.protected())
            return (2 if isinstance(method, EWC) else 1) * 4 * kept
        case GNSP():
            read = {inputs_of(name): backbone.get_submodule(name) for name in method.projected}
            return sum(4 * layer.in_features**2 for layer in read.values())
        case DERpp():
            return method.config.memory * (16 + 4 * classes)
        case ER():
            return 16 * method.config.memory
        case DualPrompt():
            own = (method.key, *method.expert.state_dict().values())
            return tasks * sum(tensor.nbytes for tensor in own)
        case Routed():
            return 8 * tasks * (backbone.width + backbone.width**2)
        case RAIL():
            width = method.config.width  # of the primal form
            return 8 * width * (backbone.width + width + classes)
        case MoEAdapters():
            routers = sum(mixture.router.nbytes for mixture in method.mixtures)
            hidden = method.config.selector.width
            autoencoder = 2 * backbone.width * (hidden + 1) + hidden + backbone.width + 1
            return tasks * (routers + 4 * autoencoder)
    return 0


def inputs_of(layer: str) -> str:
    """Returns the name of what a layer reads: the same for layers that read the same."""
    block, _, own = layer.rpartition(".")
    return next((f"{block}.{min(names)}" for names in SAME_INPUTS if own in names), layer)


def rows() -> Iterator[tuple[str, list[str]]]:
    """Yields what is known of every method on either model."""
    others = {name for names in SAME.values() for name in names}
    for label in (*(name for name in METHODS if name not in others), *OPTIONS):
        options = dict(OPTIONS.get(label, {}))
        kind = resolve("methods", options.pop("method", label))
        cells = []
        for build, given in ((vit_b16, {}), (llava_7b, ADAPTER)):
            adapter = given if "lora" in kind.Config.model_fields else {}
            with without_content():
                method = kind(build(), kind.Config(**options, **adapter))
                sizes = [state_bytes(method, tasks) for tasks in (1, 10)]
                cells += [
                    f"{trained(method) / 1e6:,.2f}",
                    *(f"{size / 1e9:,.3f}" for size in sizes),
                ]
        yield label, [*cells, PAPERS.get(label, "-")]


if __name__ == "__main__":
    for label, cells in rows():
        print(f"| `{label}` | {' | '.join(cells)} |", flush=True)
