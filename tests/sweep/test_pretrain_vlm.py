"""tiny-vlm: its questions and its recipe, at small size."""

from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from methods.backbones.fusion import CAPTION_REQUEST, Fusion
from sweep.pretrain.picture_pairs import PicturePairs, read_pairs
from sweep.pretrain.questions import about_picture, about_scene, asked_of
from sweep.pretrain.tiny_vlm import RARE, fit, untrained
from sweep.tasks.pictures.real_pictures import TABLE
from sweep.tasks.pictures.task_list import TASKS
from sweep.tasks.world.corpus import captioned, questioned

CAPTIONS = ("red apple, a fruit", "owl, a bird", "handwritten five", "Thai letter", "sun")
FEW = PicturePairs(torch.full((5, 3, 32, 32), 128, dtype=torch.uint8), CAPTIONS, CAPTIONS)


def weights(backbone: Fusion) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in backbone.model.state_dict().values()]


def test_scenes_with_the_usual_share_of_rare_answers_are_those_with_captions() -> None:
    images, captions = captioned(40, 7)
    again, shown = questioned(40, 7, rare=0.0)
    assert images.shape == again.shape
    assert all(one.answer in one.recipe.answers.common for one in shown)
    assert captions != []
    often = questioned(200, 7, rare=1.0)[1]
    assert all(
        one.answer in (one.recipe.answers.rare or one.recipe.answers.common) for one in often
    )


def test_what_is_asked_of_a_scene_is_true_of_it() -> None:
    random, asked = Random(0), Counter[str]()
    for one in questioned(400, 1, RARE)[1]:
        question, answer = about_scene(one, random)
        right = one.recipe.template.format(one.answer)
        if question == one.recipe.question:
            assert answer == one.answer
        elif question == CAPTION_REQUEST:
            assert answer == one.drawn.caption
        else:
            assert answer == ("yes" if question == f"Is this {right}?" else "no")
        asked[answer if answer in ("yes", "no") else question] += 1
    assert 0.7 < asked["yes"] / asked["no"] < 1.5
    assert asked[CAPTION_REQUEST] > 20


def test_what_is_asked_of_a_picture_is_true_of_it() -> None:
    random = Random(0)
    found = {number: set[tuple[str, str]]() for number in range(len(FEW))}
    for number in found:
        found[number] = {about_picture(FEW, number, random) for _ in range(600)}
    assert ("What is this?", "red apple") in found[0]
    assert ("Is this a fruit?", "yes") in found[0]
    assert ("Is this a bird?", "no") in found[0]
    assert ("What color is this?", "red") in found[0]
    assert set(asked_of(CAPTIONS[3])) == {("Which script is this letter of?", "Thai")}
    assert ("Which script is this letter of?", "Thai") in found[3]
    for number, asked in found.items():
        for question, answer in asked:
            if answer in ("yes", "no"):
                said = question.removeprefix("Is this ").removesuffix("?")
                assert (said in CAPTIONS[number].split(", ")) == (answer == "yes")
            else:
                assert answer in CAPTIONS[number] or (question, answer) in asked_of(
                    CAPTIONS[number]
                )


def test_questions_of_tasks_have_their_classes_as_answers() -> None:
    classes = {task.question: set(task.classes) for task in TASKS.values()}
    asked = {one for caption in read_pairs(TABLE).texts() for one in asked_of(caption)}
    known = {question for question, _ in asked}
    for question, answer in asked:
        assert answer in classes.get(question, {answer})
    silent = {task.name for task in TASKS.values() if task.question not in known}
    assert silent == {"people"}  # no caption says in these words what people do


def test_the_prompt_is_the_image_the_question_and_a_new_line() -> None:
    backbone, processor = untrained(FEW, 0)
    given = backbone.dialogue.prompts(["Which letter is this?"])["input_ids"][0]
    text = "<image>Which letter is this?\n"
    page = Image.new("RGB", (32, 32))
    plain = processor(images=page, text=text, return_tensors="pt")["input_ids"][0]
    assert given.tolist() == plain.tolist()
    assert (given == backbone.model.config.image_token_id).sum() == 16
    assert given[0] == processor.tokenizer.bos_token_id
    (answer,) = backbone.dialogue.answers(["Ωx"]).tolist()
    assert answer[-1] == processor.tokenizer.eos_token_id
    assert processor.tokenizer.decode(answer[:-1]).strip() == "ωx"


def test_its_vision_tower_starts_from_tiny_clip_and_the_rest_from_the_seed() -> None:
    one, other = (untrained(FEW, seed)[0] for seed in (0, 1))
    differs = {
        one.tower(name)
        for (name, mine), yours in zip(one.named_parameters(), other.parameters(), strict=True)
        if not torch.equal(mine, yours)
    }
    assert differs == {"joint", "text"}
    image = torch.from_numpy(questioned(1, 0, RARE)[0]).permute(0, 3, 1, 2)
    assert not torch.equal(one.embed_images(image), other.embed_images(image))


def test_the_same_seed_gives_the_same_weights_and_a_loss_that_falls() -> None:
    state = torch.get_rng_state()
    runs, losses = [], list[float]()
    for _ in range(2):
        backbone, _ = untrained(FEW, 0)
        losses.clear()
        fit(backbone, FEW, 8, 0, lambda done, total, loss: losses.append(loss))
        runs.append(weights(backbone))
    assert runs[0] == runs[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert np.mean(losses[-2:]) < np.mean(losses[:2]) - 0.2
    assert weights(untrained(FEW, 0)[0]) != runs[0]


@pytest.mark.parametrize("text", ["hexagon", "Ethiopic", "猫", "🦓", "747-400"])
def test_no_text_is_unknown(text: str) -> None:
    tokenizer = untrained(FEW, 0)[1].tokenizer
    assert tokenizer.unk_token is None
    read = tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True)
    assert read.strip() == text.lower()
