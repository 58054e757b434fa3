"""Dual encoders against direct calls of the transformers model."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from methods.backbones import load_backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.data import Batch, Split, Task
from methods.testing.tiny_models import SIZE, save_clip, save_siglip

TEMPLATES = ("a photo of a {}.", "a drawing of the {}.")
WORDS = ["a", "photo", "drawing", "of", "the", ".", "cat", "dog", "red", "bird"]


@pytest.fixture(params=[save_clip, save_siglip], scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    save: Callable[..., str] = request.param
    return save(tmp_path_factory.mktemp("model"), WORDS)


@pytest.fixture
def backbone(folder: str) -> DualEncoder:
    loaded = load_backbone(folder)
    assert isinstance(loaded, DualEncoder)
    return loaded.eval()


@pytest.fixture
def task() -> Task:
    pixels = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
    split = Split(pixels, np.arange(6) % 3)
    return Task("pets", ("cat", "dog", "red bird"), TEMPLATES, "What is it?", split, split)


def batch_of(backbone: DualEncoder, task: Task, questions: tuple[str, ...] | None = None) -> Batch:
    ids = np.arange(6)
    labels = torch.from_numpy(task.train.labels)
    pixels = backbone.pixels(task.train.images(ids))
    return Batch(task, pixels, labels, torch.from_numpy(ids), questions)


def test_logits_equal_those_of_the_model_and_its_processor(
    folder: str, backbone: DualEncoder, task: Task
) -> None:
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    siglip = model.config.model_type == "siglip"
    padding = {"padding": "max_length", "max_length": 20} if siglip else {"padding": True}
    inputs = processor(
        images=list(task.train.images(np.arange(6))),
        text=[f"a photo of a {choice}." for choice in task.choices],
        return_attention_mask=not siglip,
        return_tensors="pt",
        **padding,
    )
    expected = model(**inputs).logits_per_image
    logits = backbone.train().logits(batch_of(backbone, task))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_a_class_is_evaluated_with_the_mean_over_its_templates(
    backbone: DualEncoder, task: Task
) -> None:
    photo, drawing = (backbone.embed_texts(task.prompts(template)) for template in (0, 1))
    mean = photo + drawing
    mean = mean / mean.norm(dim=1, keepdim=True)
    torch.testing.assert_close(backbone.class_embeddings(task), [mean])
    torch.testing.assert_close(backbone.train().class_embeddings(task), [photo])


def test_loss_is_the_cross_entropy_of_the_logits(backbone: DualEncoder, task: Task) -> None:
    batch = batch_of(backbone, task)
    belief = backbone.logits(batch).softmax(dim=1)
    expected = -belief[torch.arange(6), batch.labels].log()
    torch.testing.assert_close(backbone.loss(batch), expected)


def test_batches_of_several_tasks_have_the_losses_they_have_alone(
    backbone: DualEncoder, task: Task
) -> None:
    longer = dataclasses.replace(task, templates=("a drawing of the red {} .",))
    batches = [batch_of(backbone, task), batch_of(backbone, longer)]
    for mode in (True, False):
        backbone.train(mode)
        alone = torch.cat([backbone.loss(batch) for batch in batches])
        torch.testing.assert_close(backbone.loss(*batches), alone)
        assert not torch.allclose(alone[:6], alone[6:])


def test_texts_are_scored_the_same_in_any_company(backbone: DualEncoder) -> None:
    alone = backbone.embed_texts(["cat"])
    among = backbone.embed_texts(["a drawing of the red red red bird.", "cat"])
    torch.testing.assert_close(among[1:], alone, atol=1e-5, rtol=1e-5)


def test_frozen_texts_give_the_same_logits_and_end_with_the_context(
    backbone: DualEncoder, task: Task
) -> None:
    batch = batch_of(backbone, task)
    before = backbone.logits(batch)
    with backbone.frozen_texts([task]):
        torch.testing.assert_close(backbone.logits(batch), before)
        with torch.no_grad():
            backbone.model.text_model.final_layer_norm.weight.mul_(torch.rand(32))
        torch.testing.assert_close(backbone.logits(batch), before)
    assert not torch.allclose(backbone.logits(batch), before)


def test_frozen_texts_read_all_tasks_in_one_forward(
    backbone: DualEncoder, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    embed = backbone._embed_tokens
    monkeypatch.setattr(backbone, "_embed_tokens", lambda tokens: calls.append(1) or embed(tokens))
    with backbone.frozen_texts([task, copy.copy(task)]):
        backbone.logits(batch_of(backbone, task))
    assert len(calls) == 1


def test_a_batch_is_embedded_once_while_texts_are_frozen(
    backbone: DualEncoder, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    inputs = backbone._image_inputs
    monkeypatch.setattr(backbone, "_image_inputs", lambda px: calls.append(1) or inputs(px))
    first, second = batch_of(backbone, task), batch_of(backbone, task)
    with torch.no_grad(), backbone.frozen_texts([task]):
        for batch in (first, second):
            predicted = backbone.predict(batch)
            backbone.embed_images(batch.pixels)
    assert len(calls) == 2
    assert torch.equal(predicted, backbone.predict(second))


def test_there_may_be_no_texts_to_freeze(backbone: DualEncoder, task: Task) -> None:
    with backbone.frozen_texts([]):
        assert backbone.logits(batch_of(backbone, task)).shape == (6, 3)


def test_training_reaches_every_trainable_parameter_and_no_other(
    backbone: DualEncoder, task: Task
) -> None:
    trainable = set(backbone.trainable())
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in trainable)
    backbone.train().loss(batch_of(backbone, task)).mean().backward()
    assert {n for n, p in backbone.named_parameters() if p.grad is not None} == trainable
    left = {name for name, _ in backbone.named_parameters()} - trainable
    assert left <= {"model.logit_scale", "model.logit_bias"}


def test_every_parameter_has_its_tower(backbone: DualEncoder) -> None:
    towers = {name: backbone.tower(name) for name, _ in backbone.named_parameters()}
    assert {n for n, tower in towers.items() if tower == "joint"} <= {
        "model.logit_scale",
        "model.logit_bias",
    }
    assert all((tower == "vision") == ("vis" in name) for name, tower in towers.items())


def test_adapters_go_to_attention_and_mlp_of_both_towers(backbone: DualEncoder) -> None:
    adapted = backbone.adapted()
    assert len(adapted) == 2 * 2 * 6  # towers, layers, q k v out fc1 fc2
    assert {backbone.tower(name) for name in adapted} == {"vision", "text"}
    assert all(isinstance(backbone.get_submodule(name), torch.nn.Linear) for name in adapted)


def test_a_question_per_sample_is_refused(backbone: DualEncoder, task: Task) -> None:
    with pytest.raises(ValueError, match="fusion backbone"):
        backbone.logits(batch_of(backbone, task, ("What?",) * 6))


def test_match_ranks_captions_by_similarity(backbone: DualEncoder, task: Task) -> None:
    batch = batch_of(backbone, task)
    captions = ["a cat", "a red dog", "the bird"]
    cosine = backbone.embed_images(batch.pixels) @ backbone.embed_texts(captions).T
    match = backbone.match(batch.pixels, captions)
    assert match.shape == (6, 3)
    torch.testing.assert_close(match.argsort(dim=1), cosine.argsort(dim=1))


def test_a_copy_has_its_own_weights_and_the_same_answers(backbone: DualEncoder, task: Task) -> None:
    batch = batch_of(backbone, task)
    backbone.train().loss(batch)
    twin = copy.deepcopy(backbone)
    torch.testing.assert_close(twin.logits(batch), backbone.logits(batch))
    assert not {p.data_ptr() for p in twin.parameters()} & {
        p.data_ptr() for p in backbone.parameters()
    }


def test_long_texts_are_cut_at_the_length_of_the_text_tower(backbone: DualEncoder) -> None:
    assert backbone.embed_texts(["cat " * 50]).isfinite().all()


def test_bf16_weights_give_float32_logits(folder: str, task: Task) -> None:
    backbone = load_backbone(folder, dtype=torch.bfloat16)
    assert isinstance(backbone, DualEncoder)
    assert backbone.logits(batch_of(backbone, task)).dtype == torch.float32


def test_autocast_keeps_cosines_in_float32(backbone: DualEncoder, task: Task) -> None:
    batch = batch_of(backbone, task)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert backbone.logits(batch).dtype == torch.float32


def test_seeded_builders_repeat(tmp_path: Path) -> None:
    prints = {load_backbone(save_clip(tmp_path / name, WORDS)).fingerprint for name in "ab"}
    assert len(prints) == 1
