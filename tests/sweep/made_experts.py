"""Experts of a tiny CLIP with random changes, saved by the classes that save those on the hub."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from methods.seeds import torch_seeded
from sweep.measuring.measure import make_plan
from sweep.plan.plan import Plan
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Result, Worker
from sweep.study.schema import Study


def save_towers(clip: Path, root: Path, tasks: Iterable[str], size: float = 0.05) -> str:
    """Writes an image tower per task; returns the path of them all."""
    for number, task in enumerate(tasks):
        tower = copy.deepcopy(CLIPModel.from_pretrained(clip).vision_model)
        with torch.no_grad(), torch_seeded(number):
            for weight in tower.parameters():
                weight.add_(size * torch.randn_like(weight))
        tower.save_pretrained(root / f"x_{task}")
    return str(root / "x_{task}")


def save_adapters(clip: Path, root: Path, tasks: Iterable[str], **options: Any) -> str:
    """Writes an adapter per task; returns the path of them all."""
    for number, task in enumerate(tasks):
        tower = copy.deepcopy(CLIPModel.from_pretrained(clip).vision_model)
        shape = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
        adapted = get_peft_model(tower, LoraConfig(**shape | options))
        with torch.no_grad(), torch_seeded(number):
            for name, weight in adapted.named_parameters():
                if ".lora_" in name:
                    weight.normal_(0, 0.3)
        adapted.save_pretrained(root / f"x_{task}")
    return str(root / "x_{task}")


def as_on_the_hub(folder: Path) -> None:
    """Renames tensors as transformers 4 saved them, with a buffer that is no weight."""
    file = folder / "model.safetensors"
    tensors = {f"vision_model.{name}": tensor for name, tensor in load_file(file).items()}
    tensors["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(tensors, file, {"format": "pt"})


def change_tensors(folder: Path, **changes: Any) -> None:
    """Replaces tensors in a folder of weights; None takes one out."""
    file = next(folder.glob("*.safetensors"))
    tensors = load_file(file) | changes
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, file, {"format": "pt"})


def change_config(folder: Path, name: str = "config.json", **changes: Any) -> None:
    """Changes settings in a folder of weights."""
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


class Bench:
    """Computes units of a plan in this process, in any order, each once."""

    def __init__(self, study: Study, cache: Path) -> None:
        self.plan: Plan = make_plan(study)
        self.worker = Worker(study, self.plan.pinned, join_lane(study), cache)
        self.results: dict[str, Result] = {}

    def compute(self, method: str, *tasks: str) -> Result:
        """Returns the result of a prefix; the worker's method is then what it has become."""
        key = self.plan.run("clip", method, 0, tasks).stages[-1]
        unit = self.plan.units[key]
        for parent in unit.parents:
            if parent not in self.results:
                made = self.worker.compute(self.plan.units[parent], lambda key: {})
                self.results[parent] = made
        states = {parent: self.results[parent].state or {} for parent in unit.parents}
        return self.worker.compute(unit, states.__getitem__)

    def tower(self) -> dict[str, torch.Tensor]:
        """Returns the weights of the image tower as they are now."""
        found = self.worker.trainer.backbone.model.vision_model.named_parameters()
        return {name: weight.detach().clone() for name, weight in found}
