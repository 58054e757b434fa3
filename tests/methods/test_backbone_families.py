"""What every supported family promises, against direct calls of transformers.

The reference is always the call that the model's own documentation shows, of its own processor,
made here without any code of ours.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

from methods.backbones import Backbone, load_backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.families import DUAL_ENCODERS, FUSION_MODELS
from methods.backbones.fusion import Fusion
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Split, Task
from methods.testing.workbench import same
from tests.methods import tiny_families
from tests.methods.tiny_families import LENGTH, save


def picture(seed: int) -> Image.Image:
    """Noise of one colour."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 128, 3)
    return Image.fromarray(rng.integers(low, low + 128, (48 - seed, 40, 3), dtype=np.uint8))


PICTURES = [picture(seed) for seed in range(4)]
CHOICES = ("cat", "dog", "red bird")
TEMPLATE = "a photo of a {}."
PADDINGS: dict[str, dict[str, Any]] = {
    "align": {},
    "siglip": {"padding": "max_length", "max_length": LENGTH},  # "that's how it was trained"
}
"""Options of the call in the documentation of a family; of most it is `padding=True`."""
TEXTS = [TEMPLATE.format(choice) for choice in CHOICES]


def task_of(labels: tuple[int, ...] = (0, 1, 2, 1)) -> Task:
    split = Split(PICTURES, np.array(labels))
    return Task("pets", CHOICES, (TEMPLATE,), "what is the ?", split, split)


def batch_of(backbone: Backbone, task: Task) -> Batch:
    labels = torch.from_numpy(task.train.labels)
    return Batch(task, backbone.pixels(PICTURES), labels, torch.arange(len(PICTURES)))


def trained(method: FineTune, batch: Batch, steps: int, lr: float) -> list[float]:
    """The losses of some steps, as the engine takes them."""
    method.train()
    weights = [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr)
    losses = []
    for _ in range(steps):
        loss = method(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def evaluated(method: FineTune, batch: Batch) -> Tensor:
    method.eval()
    return method.backbone.logits(batch)


def buffers_of(backbone: Backbone) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in backbone.named_buffers()}


def check_training(folder: str, lr: float = 1e-3) -> None:
    """Training lowers the loss, and going on from a state in a new process is going on."""
    first = FineTune(load_backbone(folder), FineTuneConfig())
    before = buffers_of(first.backbone)
    batch = batch_of(first.backbone, task_of())
    losses = trained(first, batch, 12, lr)
    assert losses[-1] < 0.8 * losses[0]
    second = FineTune(load_backbone(folder), FineTuneConfig())
    second.load_state(first.state())
    follow_up = batch_of(first.backbone, task_of((2, 0, 0, 1)))
    assert torch.equal(evaluated(first, batch), evaluated(second, batch))
    assert trained(first, follow_up, 3, lr) == trained(second, follow_up, 3, lr)
    assert torch.equal(evaluated(first, batch), evaluated(second, batch))
    assert same(buffers_of(first.backbone), before)


@pytest.fixture(scope="module", params=tiny_families.DUAL_ENCODERS)
def dual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny dual encoder."""
    if request.param == "siglip_1":
        pytest.importorskip("sentencepiece")
    family = tiny_families.DUAL_ENCODERS[request.param]
    return save(family, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module", params=tiny_families.FUSION_MODELS)
def fusion(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny fusion model."""
    family = tiny_families.FUSION_MODELS[request.param]
    return save(family, tmp_path_factory.mktemp(request.param))


def test_every_supported_family_is_tested() -> None:
    shown = {**tiny_families.DUAL_ENCODERS, **tiny_families.FUSION_MODELS}
    for twice in ("siglip_1", "paligemma_2"):
        del shown[twice]
    assert set(shown) == {*DUAL_ENCODERS, *FUSION_MODELS}


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


QUESTION = "what is the ?"
ENDS = {"llava": "</s>", "gemma3": "<end_of_turn>"}
"""What ends an answer in the chat format of a family, by its documentation."""


def documented(processor: Any, image: Image.Image, answer: str = "") -> dict[str, Tensor]:
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
        family = "gemma3" if "boi_token" in vars(processor) else "llava"
        written = processor.tokenizer(answer + ENDS[family], add_special_tokens=False)["input_ids"]
        for name, value in (("input_ids", written), ("attention_mask", [1] * len(written))):
            inputs[name] = torch.cat([inputs[name], torch.tensor([value])], dim=1)
        if "token_type_ids" in inputs:
            zeros = torch.zeros(1, len(written), dtype=torch.int64)
            inputs["token_type_ids"] = torch.cat([inputs["token_type_ids"], zeros], dim=1)
    return dict(inputs)


def test_scores_of_fusion_models_are_those_of_the_documented_call(fusion: str) -> None:
    model = AutoModelForImageTextToText.from_pretrained(fusion).eval()
    processor = AutoProcessor.from_pretrained(fusion)
    backbone = load_backbone(fusion).eval()
    assert isinstance(backbone, Fusion)
    with torch.no_grad():
        found = backbone.logits(batch_of(backbone, task_of()))
    expected = torch.zeros(len(PICTURES), len(CHOICES))
    for row, image in enumerate(PICTURES):
        prompt = documented(processor, image)
        length = prompt["input_ids"].shape[1]
        for column, choice in enumerate(CHOICES):
            inputs = documented(processor, image, choice)
            with torch.no_grad():
                belief = model(**inputs).logits[0, length - 1 : -1].log_softmax(dim=1)
            answer = inputs["input_ids"][0, length:]
            expected[row, column] = belief[torch.arange(len(answer)), answer].sum()
    assert expected.std(dim=0).min() > 0.01  # the images differ for the model
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    ids = backbone.dialogue.prompts([QUESTION])["input_ids"]
    assert torch.equal(ids, prompt["input_ids"])
    pixels = backbone.preprocessor(backbone.pixels(PICTURES[-1:]))
    torch.testing.assert_close(pixels, prompt["pixel_values"], rtol=1e-5, atol=1e-5)


def test_fusion_models_learn_and_resume_exactly(fusion: str) -> None:
    check_training(fusion, lr=1e-2)


def test_greedy_answers_of_fusion_models_are_those_of_generate(fusion: str) -> None:
    method = FineTune(load_backbone(fusion), FineTuneConfig())
    backbone = method.backbone
    assert isinstance(backbone, Fusion)
    processor = AutoProcessor.from_pretrained(fusion)
    batch = batch_of(backbone, task_of((0, 1, 2, 2)))
    for steps in (0, 40):  # untouched it writes on and on, trained it ends answers
        trained(method, batch, steps, lr=1e-2)
        method.eval()
        expected = []
        for image in PICTURES:
            inputs = documented(processor, image)
            ids = backbone.model.generate(**inputs, max_new_tokens=12, do_sample=False)
            new = ids[0, inputs["input_ids"].shape[1] :]
            expected.append(processor.tokenizer.decode(new, skip_special_tokens=True).strip())
        task = dataclasses.replace(batch.task, answer_tokens=12)
        assert backbone.write(dataclasses.replace(batch, task=task)) == expected
    assert expected == ["cat", "dog", "red bird", "red bird"]
    backbone.answer = "generate"
    assert torch.equal(backbone.predict(batch), batch.labels)


def test_parameters_of_fusion_models_have_their_towers(fusion: str) -> None:
    backbone = load_backbone(fusion)
    towers = {name: backbone.tower(name) for name, _ in backbone.named_parameters()}
    assert set(towers.values()) == {"vision", "text", "joint"}
    assert all("projector" in name for name, tower in towers.items() if tower == "joint")
    backbone.embed_images(backbone.pixels(PICTURES))[:, 0].sum().backward()
    reached = {n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert {towers[name] for name in reached} == {"vision", "joint"}
    assert {backbone.tower(name) for name in backbone.adapted()} == {"text"}
    assert len(backbone.attention("images")) == 2
