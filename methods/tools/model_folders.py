"""Writes what a method has learnt as a folder that plain peft or transformers loads.

Methods that train low-rank adapters leave the base model as it is, or have merged earlier adapters
into it. Either way W_t = W_0 + B A with few columns of B: what is written is an adapter of the
untouched model, in peft's form. Of merged ones B and A are made anew from W_t - W_0, which have as
many columns as all adapters together. Everything else is a model in transformers' form, whole.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from methods.backbones.base import Backbone
from methods.base import Method
from methods.seeds import torch_seeded
from methods.tools.low_rank import lora_layers, merge_lora

Form = Literal["adapter", "model"]
_PEFT_PREFIX = "base_model.model."
"""How names begin in the files of peft, which wraps a model twice."""
_SPARE = 8
"""Columns that the search for a product of few columns looks at beside these."""
_ROUNDINGS = 8
"""Half-units of the last place that an entry may be off after one merge."""


@dataclass(frozen=True)
class Base:
    """The untouched model, as transformers finds it."""

    path: str
    """Folder or hub id."""
    revision: str | None
    """Commit on the hub; None for a folder."""


@dataclass(frozen=True)
class Factors:
    """A low-rank update of one linear layer, scale * B A."""

    a: Tensor
    b: Tensor
    scale: float
    dropout: float = 0.0

    @property
    def rank(self) -> int:
        """The number of columns of B."""
        return len(self.a)


@dataclass(frozen=True)
class Learnt:
    """What a folder holds."""

    form: Form
    rank: int | None = None
    """The highest of an adapter's layers; None of a model."""


def obstacle(method: Method, own: Collection[nn.Parameter]) -> str | None:
    """Returns why no folder can hold what a method predicts with, the end of a sentence.

    Args:
        method: It need not have learnt anything yet.
        own: The weights of the untouched backbone.

    Returns:
        None if the weights of the model, with low-rank adapters, are all that it predicts with.
    """
    known = {*own, *(p for layer in _wrapped(method).values() for p in layer.parameters())}
    added = [name for name, weight in method.named_parameters() if weight not in known]
    if added:
        name = added[0].removeprefix("backbone.model.")
        others = f" and {len(added) - 1} more" if len(added) > 1 else ""
        return (
            f"it predicts with weights beside the model ('{name}'{others}), for which neither peft "
            "nor transformers has a place"
        )
    if type(method).predict is not Method.predict or type(method).write is not Method.write:
        return "it predicts by a rule of its own, of which the model is only a part"
    if method.depends_on == "nothing":
        return "it learns nothing: it predicts with the untouched backbone"
    return None


def write_learnt(
    method: Method, load: Callable[[], Backbone], base: Base, trainings: int, folder: Path
) -> Learnt:
    """Writes the model that a method predicts with; the method is of no use afterwards.

    Args:
        method: It has no `obstacle`.
        load: Returns the untouched backbone; asked only where there are adapters.
        base: Where the untouched backbone is.
        trainings: How many adapters may have been merged, at most.
        folder: Must be there.
    """
    model: Any = method.backbone.model
    factors = _factors(model, load, trainings)
    if factors:
        _write_adapter(factors, model, base, folder)
        return Learnt("adapter", max(found.rank for found in factors.values()))
    merge_lora(model)
    for name, layer in _wrapped(model).items():
        model.set_submodule(name, layer.get_base_layer())
    model.to("cpu").save_pretrained(folder)
    _write_processor(base, folder)
    return Learnt("model")


def _wrapped(model: nn.Module) -> dict[str, Any]:
    """Returns the layers that peft has put something beside, by name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: m for name, m in model.named_modules() if isinstance(m, BaseTunerLayer)}


def _factors(model: nn.Module, load: Callable[[], Backbone], trainings: int) -> dict[str, Factors]:
    """Returns the update of every layer with an adapter, by name; none if that is not all.

    It is not where weights changed besides, or where an update takes more numbers than the weights.
    """
    layers = lora_layers(model)
    if not layers:
        return {}
    start = dict(load().model.named_parameters())
    changed = {
        name
        for name, weight in _plain(model)
        if not torch.equal(weight.detach().cpu(), start[name].detach())
    }
    if changed - {f"{name}.weight" for name in layers}:
        return {}
    given = {name: _given(layer) for name, layer in layers.items()}
    if not changed:
        return given
    made = {
        name: _product(layer, start[f"{name}.weight"].detach(), given[name].rank, trainings)
        for name, layer in layers.items()
    }
    rank = max((len(found.a) if found else 0) for found in made.values())
    fits = all(found is not None for found in made.values())
    sizes = sum(sum(start[f"{name}.weight"].shape) for name in made)
    if not fits or rank * sizes >= sum(start[f"{name}.weight"].numel() for name in made):
        return {}
    return {name: found for name, found in made.items() if found}


def _plain(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields the weights of a model by the names that they have without adapters."""
    beside = {
        id(weight)
        for layer in _wrapped(model).values()
        for weight in set(layer.parameters()) - set(layer.get_base_layer().parameters())
    }
    for name, weight in model.named_parameters():
        if id(weight) not in beside:
            yield name.replace(".base_layer.", "."), weight


def _given(layer: Any) -> Factors:
    """Returns the factors of a layer as they were trained."""
    a, b = (getattr(layer, f"lora_{which}")["default"].weight.detach().cpu() for which in "AB")
    dropout = float(getattr(layer.lora_dropout["default"], "p", 0.0))
    return Factors(a, b, float(layer.scaling["default"]), dropout)


@torch.no_grad()
def _product(layer: Any, start: Tensor, rank: int, trainings: int) -> Factors | None:
    """Returns factors of all that has changed in a layer, W_0 to W_t, adapter included.

    By its leading singular vectors; of the ranks r, 2 r, ..., trainings * r the first with which
    nothing is left but what merging has rounded. None: there is no such rank.
    """
    now = layer.get_base_layer().weight.detach().cpu().double()
    given = _given(layer)
    change = now + given.scale * given.b.double() @ given.a.double() - start.double()
    most = min(trainings * rank, *change.shape)
    with torch_seeded(0):
        u, values, v = torch.svd_lowrank(change, q=min(most + _SPARE, *change.shape), niter=4)
    rounded = _ROUNDINGS * trainings * torch.finfo(start.dtype).eps / 2 * float(now.abs().max())
    for k in [*range(rank, most, rank), most]:
        roots = values[:k].sqrt()
        b, a = u[:, :k] * roots, roots[:, None] * v[:, :k].T
        if float((change - b @ a).abs().max()) <= rounded:
            return Factors(a.float(), b.float(), 1.0, given.dropout)
    return None


def _write_adapter(
    factors: Mapping[str, Factors], model: nn.Module, base: Base, folder: Path
) -> None:
    from peft import LoraConfig

    rank = max(found.rank for found in factors.values())
    alphas = {name: _whole(found.scale * found.rank) for name, found in factors.items()}
    alpha = next(iter(alphas.values()))
    config = LoraConfig(
        base_model_name_or_path=base.path,
        revision=base.revision,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=next(iter(factors.values())).dropout,
        target_modules=sorted(factors),
        rank_pattern={name: f.rank for name, f in factors.items() if f.rank != rank},
        alpha_pattern={name: own for name, own in alphas.items() if own != alpha},
        inference_mode=True,
        # By this AutoPeftModel finds the class of the base model.
        auto_mapping={
            "base_model_class": type(model).__name__,
            "parent_library": type(model).__module__,
        },
    )
    config.save_pretrained(str(folder))
    tensors = {
        f"{_PEFT_PREFIX}{name}.lora_{which}.weight": factor.contiguous()
        for name, found in factors.items()
        for which, factor in (("A", found.a), ("B", found.b))
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _write_processor(base: Base, folder: Path) -> None:
    """Writes tokenizer and image processor as those of the base model, which learn nothing."""
    where = {"revision": base.revision or "main", "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(base.path, **where)
    except Exception:  # one that lacks a package, say, fails anywhere in transformers
        processor = None
    if hasattr(processor, "image_processor"):
        processor.save_pretrained(folder)
    else:  # with these two the backbone was loaded
        AutoTokenizer.from_pretrained(base.path, **where).save_pretrained(folder)
        images = AutoImageProcessor.from_pretrained(base.path, backend="pil", **where)
        images.save_pretrained(folder)
