"""The calls that the documentation of fusion models shows, made by transformers alone."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from methods.backbones import load_backbone
from methods.backbones.fusion import Fusion
from methods.backbones.multimodal.stills import processor_class
from tests.methods import tiny_families
from tests.methods.family_checks import CHOICES, PICTURES
from tests.methods.tiny_any_size import ANY_SIZE, SIDES

TINY = {**tiny_families.FUSION_MODELS, **ANY_SIZE}
"""What makes a tiny model of every family, by `model_type`; of PaliGemma there are two."""
QUESTION = "what is the ?"
ENDS = {
    "llava": "</s>",
    "llava_next": "</s>",
    "gemma3": "<end_of_turn>",
    **dict.fromkeys(("smolvlm", "idefics2", "idefics3"), "<end_of_utterance>"),
}
"""What ends an answer in the chat format of a family, by its documentation; else `<|im_end|>`."""


def opened(name: str, folders: dict[str, str], factory: pytest.TempPathFactory) -> str:
    if name == "smolvlm" and find_spec("num2words") is None:
        pytest.skip("its processor needs num2words")
    if name not in folders:
        folders[name] = tiny_families.save(TINY[name], factory.mktemp(name))
    return folders[name]


def reference(folder: str) -> tuple[Any, Any]:
    """A model and its processor, as their authors load them."""
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    # As AutoProcessor gives it, which cannot load what reads videos without torchvision.
    kind = AutoProcessor if find_spec("torchvision") else processor_class(model.config)
    return model, kind.from_pretrained(folder, backend="pil")


def pictures_of(family: str, processor: Any, side: int | None = None) -> list[Image.Image]:
    """The pictures as they are before any processor sees them."""
    if family not in SIDES:
        return PICTURES
    size = (side or SIDES[family], side or SIDES[family])
    return [picture.resize(size, processor.image_processor.resample) for picture in PICTURES]


def documented(processor: Any, image: Image.Image, family: str, answer: str = "") -> dict[str, Any]:
    """The inputs that a family's documentation makes of a question, and of what it learns."""
    if not processor.chat_template:  # PaliGemma
        given = {"suffix": answer} if answer else {}
        inputs = processor(images=image, text=f"<image>{QUESTION}", return_tensors="pt", **given)
        inputs.pop("labels", None)
        return dict(inputs)
    content = [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    if answer:
        text = answer + ENDS.get(family, "<|im_end|>")
        written = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        for name, value in (
            ("input_ids", written),
            ("attention_mask", [1] * len(written)),
            ("token_type_ids", [0] * len(written)),
            ("mm_token_type_ids", [0] * len(written)),
        ):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.tensor([value])], dim=1)
    return dict(inputs)


def loaded(folder: str, **options: Any) -> Fusion:
    backbone = load_backbone(folder, **options)
    assert isinstance(backbone, Fusion)
    return backbone.eval()


def documented_scores(folder: str, side: int | None = None) -> tuple[Tensor, dict[str, Any]]:
    """The log-likelihood of every choice for every picture, and the inputs of the last one.

    Args:
        folder: Of the model.
        side: Height and width of the pictures; None: the usual ones.
    """
    model, processor = reference(folder)
    family = model.config.model_type
    pictures = pictures_of(family, processor, side)
    scores = torch.zeros(len(PICTURES), len(CHOICES))
    for row, image in enumerate(pictures):
        prompt = documented(processor, image, family)
        length = prompt["input_ids"].shape[1]
        for column, choice in enumerate(CHOICES):
            inputs = documented(processor, image, family, choice)
            with torch.no_grad():
                belief = model(**inputs).logits[0, length - 1 : -1].log_softmax(dim=1)
            answer = inputs["input_ids"][0, length:]
            scores[row, column] = belief[torch.arange(len(answer)), answer].sum()
    return scores, prompt
