"""Experts as they are published: an image tower that others have fine-tuned, or an adapter of one.

A tower is what `CLIPVisionModel.save_pretrained` writes (config.json, model.safetensors), an
adapter what peft writes for one (adapter_config.json, adapter_model.safetensors). Names of tensors
may begin with "vision_model.", as earlier versions of transformers have it. The text tower is that
of the backbone, and there is no head: classes are known by their prompts, as experts were trained.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, SafetensorsParsingError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from methods.backbones.base import Backbone

TOWER = "model.vision_model."
"""How names of weights of a backbone's image tower begin."""
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The weights of a tower, or what says in which files they are."""
FACTORS = "adapter_model.safetensors"
"""The weights of an adapter."""
BUFFER = "position_ids"
"""What earlier versions of transformers saved besides weights."""
UNSEEN = ("hidden_act", "layer_norm_eps", "num_attention_heads")
"""Settings of a tower that shapes of weights do not show."""
T = TypeVar("T")
Shapes = Mapping[str, tuple[int, ...]]
"""Of weights, by name."""
_PREFIX = re.compile(r"^(base_model\.model\.)?(vision_model\.)?")
_FACTOR = re.compile(r"\.lora_([AB])\.weight$")
_RAISED = (
    *(HfHubHTTPError, OSError, SafetensorError, SafetensorsParsingError),
    *(json.JSONDecodeError, KeyError),
)
"""What is raised for files that are missing, damaged or out of reach."""


@dataclass(frozen=True)
class ExpertFiles:
    """The files of an expert, in a folder or on the hub."""

    title: str
    """What sentences call it."""
    path: str
    """A folder, or a hub id."""
    commit: str | None
    """Of a hub id."""
    is_adapter: bool

    def fetch(self, name: str) -> Path:
        """Returns where a file is on this machine; downloads it from the hub if need be."""
        if self.commit is None:
            return Path(self.path) / name
        return Path(hf_hub_download(self.path, name, revision=self.commit))

    def weights(self) -> list[str]:
        """Returns the names of all files with weights."""
        if self.is_adapter:
            return [FACTORS]
        if not self._has(WEIGHTS) and self._has(INDEX):
            return sorted(
                set(json.loads(self.fetch(INDEX).read_text("utf-8"))["weight_map"].values())
            )
        return [WEIGHTS]

    def shapes(self) -> Shapes:
        """Returns the shapes of all tensors, by the names that they have in the files.

        Reads headers alone: of files on the hub that are not in its cache, without downloading
        them.
        """
        found: dict[str, tuple[int, ...]] = {}
        for name in self.weights():
            if self.commit is None or self._is_cached(name):
                with safe_open(self.fetch(name), "pt") as file:
                    keys = file.keys()
                    found |= {key: tuple(file.get_slice(key).get_shape()) for key in keys}
            else:
                header = self._ask(HfApi().parse_safetensors_file_metadata, name)
                found |= {key: tuple(tensor.shape) for key, tensor in header.tensors.items()}
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Returns all tensors in single precision, by the names that they have in the files."""
        found: dict[str, Tensor] = {}
        for name in self.weights():
            with safe_open(self.fetch(name), "pt") as file:
                keys = file.keys()
                found |= {key: file.get_tensor(key).float() for key in keys}
        return found

    def config(self) -> dict[str, Any]:
        """Returns the settings of an adapter."""
        content: dict[str, Any] = json.loads(self.fetch("adapter_config.json").read_text("utf-8"))
        return content

    def _is_cached(self, name: str) -> bool:
        return isinstance(try_to_load_from_cache(self.path, name, revision=self.commit), str)

    def _has(self, name: str) -> bool:
        if self.commit is None:
            return self.fetch(name).is_file()
        return self._is_cached(name) or self._ask(HfApi().file_exists, name)

    def _ask(self, question: Callable[..., T], name: str) -> T:
        """Returns what the hub says about a file."""
        try:
            return question(self.path, name, revision=self.commit)
        except _RAISED:
            raise
        except Exception as error:  # of whichever client the hub's package uses, without a network
            raise ConnectionError(str(error)) from error


@dataclass(frozen=True)
class ImageTower:
    """What is known of a backbone's image tower before its weights are loaded."""

    path: str
    """Folder or hub id of the backbone."""
    config: Any
    shapes: Shapes


def outline(path_or_id: str, revision: str | None) -> ImageTower:
    """Returns the image tower of a backbone without its weights.

    Raises:
        ValueError: it has none.
    """
    config = AutoConfig.from_pretrained(path_or_id, revision=revision or "main")
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    shapes = {f"model.{name}": tuple(weight.shape) for name, weight in model.named_parameters()}
    return ImageTower(path_or_id, getattr(config, "vision_config", None), _tower(shapes))


def check_expert(files: ExpertFiles, tower: ImageTower) -> frozenset[str]:
    """Makes sure that an expert is one of a backbone, as far as that is known without its weights.

    Returns:
        The weights of the image tower that it holds.

    Raises:
        ValueError: says in one sentence what does not fit.
    """
    if files.is_adapter:
        _check_adapter(files, tower)
    else:
        _check_settings(files, tower)
    with _explained(files):
        shapes = files.shapes()
    return frozenset(_fitting(files, shapes, tower.shapes))


def load_expert(backbone: Backbone, files: ExpertFiles) -> dict[str, Tensor]:
    """Returns the weights that an expert holds, by the names that they have in the backbone.

    Args:
        backbone: With its own weights, which an adapter changes.
        files: The expert.

    Raises:
        ValueError: it is no expert of this backbone.
    """
    own = {name: tuple(weight.shape) for name, weight in backbone.named_parameters()}
    with _explained(files):
        tensors = files.tensors()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = _fitting(files, shapes, _tower(own))
    if not files.is_adapter:
        return {f"{TOWER}{name}": tensors[given] for name, given in names.items()}
    model: Any = backbone.model
    merged = _with_adapter(copy.deepcopy(model.vision_model), files.config(), tensors)
    return {f"{TOWER}{name}": tensor for name, tensor in merged.items()}


@contextmanager
def _explained(files: ExpertFiles) -> Iterator[None]:
    try:
        yield
    except _RAISED as error:
        if isinstance(error, EntryNotFoundError | FileNotFoundError):
            wanted = FACTORS if files.is_adapter else WEIGHTS
            raise ValueError(f"{files.title} has no {wanted}") from None
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise ValueError(f"{files.title} cannot be read: {reason}") from None


def _tower(shapes: Shapes) -> Shapes:
    """Returns the weights of the image tower, by their names inside of it.

    Raises:
        ValueError: the backbone has none.
    """
    found = {
        name.removeprefix(TOWER): shape for name, shape in shapes.items() if name.startswith(TOWER)
    }
    if not found:
        raise ValueError("experts are image towers, and this backbone has no tower of that kind")
    return found


def _check_settings(files: ExpertFiles, tower: ImageTower) -> None:
    """Makes sure that a whole tower computes what that of the backbone computes."""
    where = {"revision": files.commit} if files.commit else {}
    try:
        config = AutoConfig.from_pretrained(files.path, **where)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise ValueError(f"{files.title} cannot be read: {reason}") from None
    if config.model_type != tower.config.model_type:
        raise ValueError(
            f"{files.title} is a {config.model_type}, and experts of '{tower.path}' are of type "
            f"{tower.config.model_type}"
        )
    for name in UNSEEN:
        own, wanted = getattr(config, name, None), getattr(tower.config, name, None)
        if own != wanted:
            raise ValueError(
                f"{files.title} has {name} {own} in its config.json, and '{tower.path}' {wanted}"
            )


def _check_adapter(files: ExpertFiles, tower: ImageTower) -> None:
    """Makes sure that an adapter is one that merges into weights, and of this backbone."""
    with _explained(files):
        config = files.config()
    if config.get("peft_type") != "LORA":
        raise ValueError(f"{files.title} is of type {config.get('peft_type')}, not LORA")
    base = str(config.get("base_model_name_or_path"))
    is_other = base.rpartition("/")[2] != tower.path.rpartition("/")[2]
    if is_other and _is_hub_id(base) and _is_hub_id(tower.path):
        raise ValueError(f"{files.title} is an adapter of '{base}', not of '{tower.path}'")


def _is_hub_id(path: str) -> bool:
    return path.count("/") == 1 and not path.startswith((".", "/", "~"))


def _fitting(files: ExpertFiles, shapes: Shapes, tower: Shapes) -> dict[str, str]:
    """Returns the weights of a tower that an expert holds, and what they are called in its files.

    Raises:
        ValueError: it lacks some, has others besides, or some are of another shape.
    """
    if files.is_adapter:
        return _fitting_factors(files.title, shapes, tower)
    names = {_PREFIX.sub("", name): name for name in shapes if not name.endswith(BUFFER)}
    for name, shape in tower.items():
        if name not in names:
            raise ValueError(f"{files.title} has no tensor '{name}'")
        if shapes[names[name]] != shape:
            raise ValueError(
                f"{files.title}: tensor '{name}' is {list(shapes[names[name]])}, and in the "
                f"backbone {list(shape)}"
            )
    for name, given in names.items():
        if name not in tower:
            raise ValueError(
                f"{files.title} has a tensor '{given}', which is not in the backbone's image tower"
            )
    return {name: names[name] for name in tower}


def _fitting_factors(title: str, shapes: Shapes, tower: Shapes) -> dict[str, str]:
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    given: dict[str, str] = {}
    for name, shape in shapes.items():
        factor = _FACTOR.search(name)
        weight = _PREFIX.sub("", _FACTOR.sub(".weight", name))
        if not factor or weight not in tower:
            raise ValueError(
                f"{title} has a tensor '{name}', which is no LoRA factor of a layer of the "
                "backbone's image tower"
            )
        layers.setdefault(weight, {})[factor[1]] = shape
        given[weight] = name
    for weight, factors in layers.items():
        if lacking := {"A", "B"} - set(factors):
            raise ValueError(f"{title} has no LoRA factor {lacking.pop()} of '{weight}'")
        made = (*factors["B"][:1], *factors["A"][1:])
        if made != tower[weight] or factors["A"][0] != factors["B"][1]:
            raise ValueError(
                f"{title}: the LoRA factors B and A of '{weight}' are {list(factors['B'])} and "
                f"{list(factors['A'])}, and the weight of the backbone is {list(tower[weight])}"
            )
    return given


def _with_adapter(
    tower: nn.Module, settings: Mapping[str, Any], factors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns the weights that an adapter changes, as they are with it, by name in the tower."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    known = {name: value for name, value in settings.items() if name in LoraConfig.__annotations__}
    own = {_PREFIX.sub("", name): factor for name, factor in factors.items()}
    layers = sorted({_FACTOR.sub("", name) for name in own})
    # Layers are named as they are here: what settings say was meant for the model around them.
    config = LoraConfig(**known | {"target_modules": layers, "layers_to_transform": None})
    inject_adapter_in_model(config, tower)
    set_peft_model_state_dict(tower, own)
    merged = {}
    for name, layer in tower.named_modules():
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=True)
            merged[f"{name}.weight"] = layer.get_base_layer().weight.detach().clone()
    return merged
