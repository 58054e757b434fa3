"""What every supported dual encoder promises, against direct calls of transformers.

The reference is always the call that the model's own documentation shows, of its own processor,
made here without any code of ours.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from methods.backbones import load_backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.families import DUAL_ENCODERS
from tests.methods import tiny_families
from tests.methods.family_checks import (
    CHOICES,
    PICTURES,
    TEMPLATE,
    batch_of,
    check_training,
    task_of,
    with_version,
)
from tests.methods.tiny_families import LENGTH, save

PADDINGS: dict[str, dict[str, Any]] = {
    "align": {},
    "siglip": {"padding": "max_length", "max_length": LENGTH},  # "that's how it was trained"
}
"""Options of the call in the documentation of a family; of most it is `padding=True`."""
TEXTS = [TEMPLATE.format(choice) for choice in CHOICES]


@pytest.fixture(scope="module", params=tiny_families.DUAL_ENCODERS, ids=with_version)
def dual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny dual encoder."""
    if request.param == "siglip_1":
        pytest.importorskip("sentencepiece")
    family = tiny_families.DUAL_ENCODERS[request.param]
    return save(family, tmp_path_factory.mktemp(request.param))


def test_every_supported_family_is_tested() -> None:
    in_other_files = {"blip"}
    assert {*tiny_families.DUAL_ENCODERS} - {"siglip_1"} | in_other_files == {*DUAL_ENCODERS}


def test_scores_of_dual_encoders_are_those_of_the_documented_call(dual: str) -> None:
    model, processor = AutoModel.from_pretrained(dual).eval(), AutoProcessor.from_pretrained(dual)
    padding = PADDINGS.get(model.config.model_type, {"padding": True})
    inputs = processor(text=TEXTS, images=PICTURES, return_tensors="pt", **padding)
    backbone = load_backbone(dual).eval()
    assert isinstance(backbone, DualEncoder)
    with torch.no_grad():
        expected = model(**inputs).logits_per_image
        found = backbone.logits(batch_of(backbone, task_of()))
    assert expected.std() > 0.01  # the model tells them apart
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    pixels = backbone.preprocessor(backbone.pixels(PICTURES))
    torch.testing.assert_close(pixels, inputs["pixel_values"], rtol=1e-5, atol=1e-5)
    ids = backbone._ids(TEXTS)["input_ids"]
    assert torch.equal(ids, inputs["input_ids"][:, : ids.shape[1]])
    assert not inputs.get("attention_mask", torch.ones(1, 0))[:, ids.shape[1] :].any()


def test_dual_encoders_learn_and_resume_exactly(dual: str) -> None:
    check_training(dual)


def test_parameters_of_dual_encoders_have_their_towers(dual: str) -> None:
    backbone = load_backbone(dual)
    towers = {name: backbone.tower(name) for name, _ in backbone.named_parameters()}
    joint = {name for name, tower in towers.items() if tower == "joint"}
    assert joint
    assert joint == set(towers) - set(backbone.trainable())
    batch, task = batch_of(backbone, task_of()), task_of()
    for tower, embed in (
        ("vision", lambda: backbone.embed_images(batch.pixels)),
        ("text", lambda: backbone.embed_texts(backbone.texts(task))),
    ):
        backbone.zero_grad()
        embed()[:, 0].sum().backward()
        reached = {n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
        assert reached
        assert {towers[name] for name in reached} == {tower}


def test_long_texts_are_cut_where_the_text_tower_ends(dual: str) -> None:
    backbone = load_backbone(dual).eval()
    with torch.no_grad():
        long = backbone.embed_texts(["a red bird " * LENGTH, "a red bird " * (LENGTH + 9)])
    torch.testing.assert_close(long[0], long[1])


@pytest.mark.parametrize("family", ["clip", "altclip", "align"])
def test_layers_for_adapters_and_prompts_are_found_in_both_towers_or_refused(
    family: str, tmp_path: Path
) -> None:
    backbone = load_backbone(save(tiny_families.DUAL_ENCODERS[family], tmp_path))
    if family == "align":
        with pytest.raises(ValueError, match="the vision tower of align models has no layers"):
            backbone.adapted()
    else:
        assert {backbone.tower(name) for name in backbone.adapted()} == {"vision", "text"}
    if family == "clip":
        assert len(backbone.attention("images")) == len(backbone.attention("texts")) == 2
    else:
        with pytest.raises(ValueError, match=f"the text tower of {family} models has no layers"):
            backbone.attention("texts")
