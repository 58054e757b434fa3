"""What every supported fusion model promises, against direct calls of transformers.

The reference is always the call that the model's own documentation shows, of its own processor,
made here without any code of ours, for one image and one answer at a time.
"""

import dataclasses

import pytest
import torch

from methods.backbones import load_backbone
from methods.backbones.families import FUSION_MODELS
from methods.backbones.fusion import Fusion
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.tools.low_rank import LoraOptions
from tests.methods.documented import (
    QUESTION,
    TINY,
    documented,
    documented_scores,
    loaded,
    opened,
    pictures_of,
    reference,
)
from tests.methods.family_checks import (
    PICTURES,
    batch_of,
    check_training,
    task_of,
    trained,
    with_version,
)

SIBLINGS = {"paligemma_2", "qwen2_5_vl", "smolvlm"}
"""Families that are much like another one: their tests that train are slow ones."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of tiny models, as far as they have been asked for."""
    return {}


@pytest.fixture(params=TINY, ids=with_version)
def fusion(
    request: pytest.FixtureRequest,
    folders: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The folder of a tiny fusion model."""
    return opened(request.param, folders, tmp_path_factory)


@pytest.fixture(
    params=[
        pytest.param(
            name, marks=pytest.mark.slow if name in SIBLINGS else (), id=with_version(name)
        )
        for name in TINY
    ]
)
def trainee(
    request: pytest.FixtureRequest,
    folders: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The same, for what takes longer."""
    return opened(request.param, folders, tmp_path_factory)


def test_every_supported_family_is_tested() -> None:
    assert {*TINY} - {"paligemma_2"} == {*FUSION_MODELS}


def test_scores_of_fusion_models_are_those_of_the_documented_call(fusion: str) -> None:
    expected, prompt = documented_scores(fusion)
    backbone = loaded(fusion)
    with torch.no_grad():
        found = backbone.logits(batch_of(backbone, task_of()))
    assert expected.std(dim=0).min() > 0.01  # the images differ for the model
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    ids = backbone.dialogue.prompts([QUESTION])["input_ids"]
    assert torch.equal(ids, prompt["input_ids"])
    given = backbone.preprocessor.inputs(backbone.pixels(PICTURES[-1:]))
    assert set(given) <= set(prompt)
    for name, value in given.items():
        torch.testing.assert_close(value, prompt[name], rtol=1e-5, atol=1e-5)


def test_fusion_models_learn_and_resume_exactly(trainee: str) -> None:
    check_training(trainee, lr=1e-2)


def test_greedy_answers_of_fusion_models_are_those_of_generate(trainee: str) -> None:
    method = FineTune(load_backbone(trainee), FineTuneConfig())
    backbone = method.backbone
    assert isinstance(backbone, Fusion)
    _, processor = reference(trainee)
    family = backbone.model.config.model_type
    batch = batch_of(backbone, task_of((0, 1, 2, 2)))
    for steps in (0, 40):  # untouched it writes on and on, trained it ends answers
        trained(method, batch, steps, lr=1e-2)
        method.eval()
        expected = []
        for image in pictures_of(family, processor):
            inputs = documented(processor, image, family)
            ids = backbone.model.generate(**inputs, max_new_tokens=12, do_sample=False)
            new = ids[0, inputs["input_ids"].shape[1] :]
            expected.append(processor.tokenizer.decode(new, skip_special_tokens=True).strip())
        task = dataclasses.replace(batch.task, answer_tokens=12)
        assert backbone.write(dataclasses.replace(batch, task=task)) == expected
    assert expected == ["cat", "dog", "red bird", "red bird"]
    backbone.answer = "generate"
    assert torch.equal(backbone.predict(batch), batch.labels)


PROJECTORS = ("projector", "merger", "connector", "image_newline")


def test_parameters_of_fusion_models_have_their_towers(fusion: str) -> None:
    backbone = load_backbone(fusion)
    towers = {name: backbone.tower(name) for name, _ in backbone.named_parameters()}
    assert set(towers.values()) == {"vision", "text", "joint"}
    joint = {name for name, tower in towers.items() if tower == "joint"}
    assert all(any(part in name for part in PROJECTORS) for name in joint)
    backbone.embed_images(backbone.pixels(PICTURES))[:, 0].sum().backward()
    reached = {n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert {towers[name] for name in reached} == {"vision", "joint"}
    assert {backbone.tower(name) for name in backbone.adapted()} == {"text"}
    assert len(backbone.attention("images")) == 2


def test_vision_towers_of_fusion_models_take_adapters(fusion: str) -> None:
    """Adapters there learn, and change how images are read; whatever layers the model leaves out.

    Of some models the last layer of the vision tower is not in use.
    """
    backbone = load_backbone(fusion)
    plain = backbone.embed_images(backbone.pixels(PICTURES)).detach()
    backbone.learn_in(["vision"])
    assert {backbone.tower(name) for name in backbone.trainable()} == {"vision"}
    layers = backbone.adapted()
    assert {backbone.tower(name) for name in layers} == {"vision"}
    assert backbone.attention("images") == []
    method = FineTune(backbone, FineTuneConfig(lora=LoraOptions()))
    method.reset(0)
    batch = batch_of(backbone, task_of())
    losses = trained(method, batch, 6, lr=1e-2)
    moved = {
        name for name, weight in method.named_parameters() if ".lora_B." in name and weight.any()
    }
    assert 0.5 * len(layers) <= len(moved) <= len(layers)
    assert losses[-1] < losses[0]
    with torch.no_grad():
        assert not torch.allclose(backbone.embed_images(batch.pixels), plain, atol=1e-4)
