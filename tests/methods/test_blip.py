"""BLIP for retrieval promises what every family does (test_backbone_families.py).

By itself, as its documented call has another name and gives plain cosines.
"""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, BlipForImageTextRetrieval

from methods.backbones import load_backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.tools.low_rank import LoraOptions
from tests.methods.family_checks import (
    CHOICES,
    PICTURES,
    TEMPLATE,
    batch_of,
    check_training,
    task_of,
    trained,
)
from tests.methods.tiny_blip import blip_retrieval
from tests.methods.tiny_families import save

TEXTS = [TEMPLATE.format(choice) for choice in CHOICES]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny BLIP."""
    return save(blip_retrieval, tmp_path_factory.mktemp("blip"))


def test_scores_are_those_of_the_documented_call_at_the_scale_of_its_training(blip: str) -> None:
    model, processor = (
        BlipForImageTextRetrieval.from_pretrained(blip).eval(),
        AutoProcessor.from_pretrained(blip),
    )
    inputs = processor(text=TEXTS, images=PICTURES, return_tensors="pt", padding=True)
    backbone = load_backbone(blip).eval()
    assert isinstance(backbone, DualEncoder)
    with torch.no_grad():
        cosines = model(**inputs, use_itm_head=False).itm_score
        found = backbone.logits(batch_of(backbone, task_of()))
    assert cosines.std() > 0.01  # the model tells them apart
    torch.testing.assert_close(found, cosines / 0.07, rtol=1e-5, atol=1e-5)
    pixels = backbone.preprocessor(backbone.pixels(PICTURES))
    torch.testing.assert_close(pixels, inputs["pixel_values"], rtol=1e-5, atol=1e-5)
    assert torch.equal(backbone._ids(TEXTS)["input_ids"], inputs["input_ids"])


def test_it_learns_and_resumes_exactly(blip: str) -> None:
    check_training(blip)


def test_parameters_have_their_towers_and_only_what_is_used_is_trained(blip: str) -> None:
    backbone = load_backbone(blip)
    backbone.zero_grad()
    batch = batch_of(backbone, task_of())
    for embedded, tower in (
        (backbone.embed_images(batch.pixels), "vision"),
        (backbone.embed_texts(TEXTS), "text"),
    ):
        backbone.zero_grad()
        embedded[:, 0].sum().backward()
        reached = {n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
        assert {backbone.tower(name) for name in reached} == {tower}
        assert reached <= set(backbone.trainable())
    left = {name for name, _ in backbone.named_parameters()} - set(backbone.trainable())
    assert left
    assert all("crossattention" in name or "itm_head" in name for name in left)


def test_adapters_go_to_layers_that_are_used(blip: str) -> None:
    method = FineTune(load_backbone(blip), FineTuneConfig(lora=LoraOptions(rank=2)))
    method.reset(0)
    trained(method, batch_of(method.backbone, task_of()), 2, lr=1e-2)
    factors = {n: p for n, p in method.named_parameters() if ".lora_B." in n}
    assert {method.backbone.tower(name) for name in factors} == {"vision", "text"}
    assert all(factor.any() for factor in factors.values())


def test_other_models_of_blip_are_refused(tmp_path: Path) -> None:
    config = {"model_type": "blip", "architectures": ["BlipForConditionalGeneration"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"of BLIP those of class BlipForImageTextRetrieval, and"):
        load_backbone(str(tmp_path))
