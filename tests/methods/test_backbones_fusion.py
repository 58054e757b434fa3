"""Fusion models against direct calls of the transformers model, one sample and answer at a time."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from methods.backbones import load_backbone
from methods.backbones.fusion import CAPTION_REQUEST, Fusion
from methods.data import Batch, Split, Task
from methods.testing.tiny_models import SIZE, save_llava, save_paligemma

WORDS = ["what", "is", "in", "the", "image", "?", "which", "animal", "describe", ".", "it"]
WORDS += ["a", "cat", "dog", "red", "bird", "user", ":", "assistant"]
CHAT = (
    "{% for message in messages %}user : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %} assistant :{% endif %}"
)
QUESTIONS = ("What?", "Which animal is in the image?", "What is the animal?", "Is it a red dog?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_llava(tmp_path_factory.mktemp("llava"), WORDS)


@pytest.fixture
def backbone(folder: str) -> Fusion:
    loaded = load_backbone(folder)
    assert isinstance(loaded, Fusion)
    return loaded.eval()


@pytest.fixture
def task() -> Task:
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    split = Split(pixels, np.array([0, 2, 1, 2]))
    choices = ("cat", "dog", "a red bird")
    return Task("pets", choices, ("{}",), "What is in the image?", split, split)


def batch_of(
    backbone: Fusion,
    task: Task,
    questions: tuple[str, ...] | None = None,
    ids: tuple[int, ...] = (),
) -> Batch:
    chosen = np.array(ids or range(4))
    pixels = backbone.pixels(task.train.images(chosen))
    labels = torch.from_numpy(task.train.labels[chosen])
    asked = tuple(questions[i] for i in chosen) if questions else None
    return Batch(task, pixels, labels, torch.from_numpy(chosen), asked)


def reference_loss(folder: str, image: np.ndarray, question: str, answer: str) -> float:
    """The model's own loss of an answer: one sample, one sequence, no cache, no padding."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(
        images=Image.fromarray(image), text=f"<image>\n{question}\n", return_tensors="pt"
    )
    prompt = inputs["input_ids"]
    written = processor.tokenizer(f"{answer}<eos>", add_special_tokens=False, return_tensors="pt")
    ids = torch.cat([prompt, written["input_ids"]], dim=1)
    labels = ids.clone()
    labels[:, : prompt.shape[1]] = -100
    run_folder = model(input_ids=ids, pixel_values=inputs["pixel_values"], labels=labels)
    return float(run_folder.loss.detach())


def test_loss_is_the_models_own(folder: str, backbone: Fusion, task: Task) -> None:
    losses = backbone.loss(batch_of(backbone, task, QUESTIONS)).tolist()
    for i, label in enumerate(task.train.labels):
        image = task.train.images(np.array([i]))[0]
        expected = reference_loss(folder, image, QUESTIONS[i], task.choices[label])
        assert losses[i] == pytest.approx(expected, rel=1e-4)


def test_paligemma_loss_is_its_own(tmp_path: Path, task: Task) -> None:
    """Its image and question see one another in both directions, the answer only backwards."""
    folder = save_paligemma(tmp_path, WORDS)
    backbone = load_backbone(folder)
    assert isinstance(backbone, Fusion)
    losses = backbone.loss(batch_of(backbone, task, QUESTIONS)).tolist()
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    for i, label in enumerate(task.train.labels):
        inputs = processor(
            images=Image.fromarray(task.train.images(np.array([i]))[0]),
            text=f"<image>{QUESTIONS[i]}",
            suffix=task.choices[label],
            return_tensors="pt",
        )
        assert losses[i] == pytest.approx(float(model(**inputs).loss.detach()), rel=1e-4)


def test_logits_are_summed_log_likelihoods(folder: str, backbone: Fusion, task: Task) -> None:
    logits = backbone.logits(batch_of(backbone, task))
    image = task.train.images(np.array([1]))[0]
    tokens = (2, 2, 4)  # with the end token
    expected = [
        -reference_loss(folder, image, task.question, choice) * count
        for choice, count in zip(task.choices, tokens, strict=True)
    ]
    assert logits[1].tolist() == pytest.approx(expected, rel=1e-4)


def test_a_sample_scores_the_same_alone_and_among_longer_questions(
    backbone: Fusion, task: Task
) -> None:
    together = backbone.logits(batch_of(backbone, task, QUESTIONS))
    for i in range(4):
        alone = backbone.logits(batch_of(backbone, task, QUESTIONS, (i,)))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_a_choice_scores_the_same_among_other_choices(backbone: Fusion, task: Task) -> None:
    few = Task("few", ("dog",), task.templates, task.question, task.train, task.test)
    alone = backbone.logits(batch_of(backbone, few))
    among = backbone.logits(batch_of(backbone, task))
    torch.testing.assert_close(among[:, 1:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("answers_at_once", [1, 2, 5])
def test_scoring_in_pieces_changes_nothing(
    backbone: Fusion, task: Task, answers_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(backbone, task, QUESTIONS)
    whole = backbone.logits(batch)
    length = backbone.dialogue.prompts(QUESTIONS)["input_ids"].shape[1] + 4
    monkeypatch.setattr("methods.backbones.fusion._TOKENS_AT_ONCE", answers_at_once * length)
    torch.testing.assert_close(backbone.logits(batch), whole, atol=1e-4, rtol=1e-4)


def test_a_prompt_is_read_once_for_all_its_choices(
    backbone: Fusion, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(backbone, task)
    lengths: list[int] = []
    backbone.model.model.language_model.register_forward_pre_hook(
        lambda _, __, given: lengths.append(given["inputs_embeds"].shape[1]), with_kwargs=True
    )
    length = backbone.dialogue.prompts([task.question])["input_ids"].shape[1]
    monkeypatch.setattr("methods.backbones.fusion._TOKENS_AT_ONCE", length + 4)
    backbone.logits(batch)
    assert lengths == [length, 3, 3, 3] * 4  # a prompt and its choices, sample after sample


def test_images_are_encoded_once_while_weights_are_frozen(backbone: Fusion, task: Task) -> None:
    batch = batch_of(backbone, task)
    encoded: list[int] = []
    backbone.model.model.vision_tower.register_forward_hook(lambda *_: encoded.append(1))
    with torch.no_grad():
        expected = backbone.predict(batch), backbone.embed_images(batch.pixels)
        assert encoded.count(1) == 2 + 1  # and a blank one, the first time
        encoded.clear()
        with backbone.frozen_texts([task]):
            found = backbone.predict(batch), backbone.embed_images(batch.pixels)
            assert len(encoded) == 1
            backbone.embed_images(batch.pixels.clone())
            assert len(encoded) == 2
        backbone.embed_images(batch.pixels)
        assert len(encoded) == 3
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_question_matters(backbone: Fusion, task: Task) -> None:
    asked = backbone.logits(batch_of(backbone, task, QUESTIONS))
    assert not torch.allclose(asked, backbone.logits(batch_of(backbone, task)), atol=1e-3)


def test_match_is_the_likelihood_per_token_of_a_description(
    folder: str, backbone: Fusion, task: Task
) -> None:
    captions = ["the cat .", "a dog"]
    match = backbone.match(batch_of(backbone, task).pixels, captions)
    image = task.train.images(np.array([3]))[0]
    expected = [-reference_loss(folder, image, CAPTION_REQUEST, text) for text in captions]
    assert match[3].tolist() == pytest.approx(expected, rel=1e-4)


def test_prompts_follow_the_chat_template(tmp_path: Path, task: Task) -> None:
    backbone = load_backbone(save_llava(tmp_path, WORDS, chat_template=CHAT))
    assert isinstance(backbone, Fusion)
    ids = backbone.dialogue.prompts([task.question])["input_ids"][0]
    text = backbone.tokenizer.decode(ids)
    images = "<image>" * 4
    assert text.replace(" ", "") == f"<bos>user:{images}whatisintheimage?assistant:"


def test_another_chat_template_is_another_fingerprint(folder: str, tmp_path: Path) -> None:
    other = load_backbone(save_llava(tmp_path, WORDS, chat_template=CHAT))
    assert other.fingerprint != load_backbone(folder).fingerprint


def fit(backbone: Fusion, batch: Batch, steps: int = 30) -> list[float]:
    names = set(backbone.trainable())
    weights = [p for name, p in backbone.named_parameters() if name in names]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    losses = []
    for _ in range(steps):
        loss = backbone.loss(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_a_fitted_model_answers_right_by_score_and_by_greedy_text(
    folder: str, backbone: Fusion, task: Task
) -> None:
    batch = batch_of(backbone, task)
    losses = fit(backbone, batch)
    assert losses[-1] < 0.2 * losses[0]
    with torch.no_grad():
        assert torch.equal(backbone.predict(batch), batch.labels)
        backbone.answer = "generate"
        assert torch.equal(backbone.predict(batch), batch.labels)


def test_a_greedy_answer_of_no_choice_is_minus_one(folder: str, task: Task) -> None:
    backbone = load_backbone(folder, answer="generate")
    assert isinstance(backbone, Fusion)
    fit(backbone, batch_of(backbone, task))
    others = Task("others", ("tree", "DOG"), ("{}",), task.question, task.train, task.test)
    batch = batch_of(backbone, others)
    with torch.no_grad():
        assert backbone.predict(batch).tolist() == [-1, -1, 1, -1]


def test_gradients_reach_every_trainable_parameter_and_no_other(
    backbone: Fusion, task: Task
) -> None:
    trainable = set(backbone.trainable())
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in trainable)
    backbone.loss(batch_of(backbone, task)).mean().backward()
    reached = {n for n, p in backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == trainable


def test_logits_are_differentiable(backbone: Fusion, task: Task) -> None:
    """The cross entropy of the scores reaches what the cached prompt was made of."""
    backbone.logits(batch_of(backbone, task)).softmax(dim=1)[:, 0].sum().backward()
    projector = dict(backbone.named_parameters())[
        "model.model.multi_modal_projector.linear_1.weight"
    ]
    assert projector.grad is not None
    assert projector.grad.any()


def test_every_parameter_has_its_tower(backbone: Fusion) -> None:
    expected = {
        "model.model.vision_tower": "vision",
        "model.model.multi_modal_projector": "joint",
        "model.model.language_model": "text",
        "model.lm_head": "text",
    }
    for name, _ in backbone.named_parameters():
        part = next(prefix for prefix in expected if name.startswith(prefix))
        assert backbone.tower(name) == expected[part]


def test_adapters_go_to_the_language_model_only(backbone: Fusion) -> None:
    adapted = backbone.adapted()
    assert len(adapted) == 2 * 7  # layers; q k v o gate up down
    assert all("language_model" in name for name in adapted)


def test_embeddings_lie_in_one_space_and_have_length_one(backbone: Fusion, task: Task) -> None:
    images = backbone.embed_images(batch_of(backbone, task).pixels)
    texts = backbone.embed_texts(["cat", "a red bird"])
    assert images.shape == (4, 32)
    assert texts.shape == (2, 32)
    lengths = torch.cat([images, texts]).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(6))


def test_a_processor_that_counts_image_tokens_otherwise_is_refused(
    backbone: Fusion, task: Task
) -> None:
    backbone.dialogue.processor.num_additional_image_tokens = 3
    with pytest.raises(ValueError, match="6 image tokens, but the model makes 4"):
        backbone.logits(batch_of(backbone, task))


def test_a_copy_gives_the_same_answers(backbone: Fusion, task: Task) -> None:
    batch = batch_of(backbone, task)
    expected = backbone.logits(batch)
    torch.testing.assert_close(copy.deepcopy(backbone).logits(batch), expected)
