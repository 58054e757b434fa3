"""What plain transformers and peft make of a folder: their documented calls, without our code."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

from methods.base import Method
from methods.data import Task, batch_of

SHOWN = 6
"""Test images of a task that are looked at."""
AUTO: dict[str, Any] = {"clip": AutoModel, "llava": AutoModelForImageTextToText}


@torch.no_grad()
def scores_of_method(method: Method, task: Task) -> Tensor:
    """The logits of a method in evaluation mode."""
    method.eval()
    pixels = method.backbone.pixels(task.test.images(np.arange(SHOWN)))
    return method.backbone.logits(batch_of(task, task.test, torch.arange(SHOWN), pixels))


def scores_of_folder(folder: Path, family: str, base: Path, task: Task) -> Tensor:
    """Those of a folder, which is an adapter of `base` or a model of its own."""
    is_adapter = (folder / "adapter_config.json").exists()
    whole = base if is_adapter else folder
    model, processor = AUTO[family].from_pretrained(whole), AutoProcessor.from_pretrained(whole)
    if is_adapter:
        model = PeftModel.from_pretrained(model, folder)
    return scores(model, processor, family, task)


@torch.no_grad()
def scores(model: Any, processor: Any, family: str, task: Task) -> Tensor:
    """Scores of a task's choices, as the documentation of a family computes them."""
    model.eval()
    pictures = [Image.fromarray(image) for image in task.test.images(np.arange(SHOWN))]
    if family == "clip":
        texts = [task.templates[0].format(choice) for choice in task.choices]
        inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        found: Tensor = model(**inputs).logits_per_image
        return found
    asked = task.test.questions or [task.question] * SHOWN
    return torch.stack(
        [
            torch.stack([_said(model, processor, *shown, choice) for choice in task.choices])
            for shown in zip(pictures, asked, strict=False)
        ]
    )


def _said(model: Any, processor: Any, picture: Image.Image, asked: str, choice: str) -> Tensor:
    """The log-likelihood of an answer and of what ends it."""
    inputs = processor(images=picture, text=f"<image>\n{asked}\n", return_tensors="pt")
    tokenizer = processor.tokenizer
    answer = tokenizer(choice, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    length = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    belief = model(**inputs).logits[0, length - 1 : -1].log_softmax(dim=1)
    return belief[torch.arange(len(answer)), answer].sum()
