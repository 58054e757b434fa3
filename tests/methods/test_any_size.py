"""Fusion models whose processors take images of any size: their one size, their prompts."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods.backbones import load_backbone
from methods.backbones.loading import load_text_reader
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench
from sweep.study.backbones import BackboneConfig, find_source
from tests.methods.documented import (
    QUESTION,
    documented,
    documented_scores,
    loaded,
    opened,
    pictures_of,
    reference,
)
from tests.methods.family_checks import CHOICES, batch_of, task_of
from tests.methods.opened import about_to_learn, gradients
from tests.methods.opened import batch_of as step_of
from tests.methods.shipped import OPTIONS


@pytest.fixture(scope="module")
def folders() -> dict[str, str]:
    """Folders of tiny models, as far as they have been asked for."""
    return {}


@pytest.fixture
def folder(
    request: pytest.FixtureRequest,
    folders: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The folder of the model of a family."""
    return opened(request.param, folders, tmp_path_factory)


def of(*families: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("folder", families, indirect=True)


@pytest.mark.parametrize(
    ("folder", "side", "tokens"),
    [("qwen2_vl", 32, 4), ("internvl", 64, 20), ("llava_next", 48, 24), ("idefics2", 40, 15)],
    indirect=["folder"],
)
def test_images_have_the_size_that_a_study_gives(folder: str, side: int, tokens: int) -> None:
    expected, prompt = documented_scores(folder, side)
    backbone = loaded(folder, image_size=side)
    assert backbone.pixels([]).shape == (0, 3, side, side)
    assert int((prompt["input_ids"] == backbone.model.config.image_token_id).sum()) == tokens
    with torch.no_grad():
        found = backbone.logits(batch_of(backbone, task_of()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@of("qwen2_vl")
def test_a_size_that_would_be_resized_is_refused(folder: str) -> None:
    for size, nearest in ((50, 48), (64, 48), (8, 16)):
        said = rf"image_size is {size}, .* multiples of 16 of 256 to 2304 pixels .* is {nearest}\.$"
        with pytest.raises(ValueError, match=said):
            load_text_reader(folder, image_size=size)


@pytest.mark.parametrize("name", ["clip", "llava"])
def test_a_size_of_images_that_have_their_own_is_refused(models: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"image_size is for .* have 32 x 32; leave it out\.$"):
        load_text_reader(str(models / name), image_size=64)


@of("internvl")
def test_another_size_is_another_backbone(folder: str) -> None:
    usual, other = load_backbone(folder), load_backbone(folder, image_size=64)
    assert load_backbone(folder).fingerprint == usual.fingerprint != other.fingerprint
    plain, sized = (
        find_source(BackboneConfig(path=folder, **options)) for options in ({}, {"image_size": 64})
    )
    assert sized.fingerprint != plain.fingerprint
    for source in (plain, sized):
        source.verify()
    assert sized.load().fingerprint == other.fingerprint


@of("qwen2_vl")
def test_a_model_without_a_chat_template_is_refused(folder: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="it has no chat template, which says how its family"):
        load_text_reader(str(copy))


def scores_after(folder: str, first: list[int]) -> Tensor:
    """What transformers makes of prompts that begin with some tokens more."""
    model, processor = reference(folder)
    family, rows = model.config.model_type, []
    for image in pictures_of(family, processor):
        scores = []
        for choice in CHOICES:
            inputs = documented(processor, image, family, choice)
            length = documented(processor, image, family)["input_ids"].shape[1] + len(first)
            for name, more in (
                ("input_ids", first),
                ("attention_mask", [1] * len(first)),
                ("mm_token_type_ids", [0] * len(first)),
            ):
                if name in inputs:
                    inputs[name] = torch.cat([torch.tensor([more]), inputs[name]], dim=1)
            with torch.no_grad():
                belief = model(**inputs).logits[0, length - 1 : -1].log_softmax(dim=1)
            answer = inputs["input_ids"][0, length:]
            scores.append(belief[torch.arange(len(answer)), answer].sum())
        rows.append(torch.stack(scores))
    return torch.stack(rows)


@of("llava", "idefics3", "qwen2_vl", "qwen3_vl")
def test_a_learnt_context_is_read_like_tokens(folder: str) -> None:
    backbone = loaded(folder)
    first = [7, 9, 11]
    with torch.no_grad():
        backbone.prompting.context = backbone.token_embedding()(torch.tensor(first))
        found = backbone.logits(batch_of(backbone, task_of()))
        backbone.prompting.context = None
        plain = backbone.logits(batch_of(backbone, task_of()))
    torch.testing.assert_close(found, scores_after(folder, first), rtol=1e-5, atol=1e-5)
    assert (found - plain).abs().min() > 1e-3


@of("qwen2_vl", "qwen3_vl", "idefics3")
def test_a_question_scores_the_same_alone_and_among_longer_ones(folder: str) -> None:
    """Shorter prompts are filled up on the left, and positions count what is there."""
    backbone = loaded(folder)
    batch = batch_of(backbone, task_of())
    asked = [QUESTION, f"{QUESTION} and what else is there ?", "what ?", QUESTION]
    with torch.no_grad():
        alone = backbone.logits(batch)
        read = backbone._prompts_of(batch.pixels, asked)
        found = backbone._score(read, backbone.dialogue.choices(CHOICES))
    for row in (0, 3):
        torch.testing.assert_close(found[row], alone[row], rtol=1e-5, atol=1e-5)
    assert (found[1:3] - alone[1:3]).abs().min() > 1e-3


@of("qwen3_vl", "idefics3", "internvl")
@pytest.mark.parametrize("method", ["dualprompt", "l2p"])
def test_prompts_of_methods_are_read(models: Path, folder: str, method: str) -> None:
    study = toy_study(
        models,
        {method: OPTIONS.get(method, {})},
        benchmark=BACKBONES["llava"],
        backbones={"it": {"path": folder}},
    )
    learner, stage = about_to_learn(Workbench(study, method), "a")
    batch = step_of(stage)
    with torch.no_grad():
        before = learner(batch)
    assert any(gradient.any() for gradient in gradients(learner, learner(batch)))
    with torch.no_grad():
        for weight in learner.parameters():
            if weight.requires_grad:
                weight += torch.ones_like(weight)
        assert (learner(batch) - before).abs().max() > 1e-3
