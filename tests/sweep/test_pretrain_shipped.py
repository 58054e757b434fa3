"""tiny-clip-pictures: the weights that ship, what they know, and what their card says."""

import numpy as np
import pytest
from typer.testing import CliRunner

from methods.backbones import load_backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.data import Split, Task
from sweep.cli.main import app
from sweep.pretrain.held_out import caption_recall, task_accuracy
from sweep.pretrain.model_card import interval_text
from sweep.pretrain.picture_pairs import read_pairs
from sweep.pretrain.room_to_learn import short_study
from sweep.pretrain.tiny_clip_pictures import untrained
from sweep.preview.prompt_check import read_prompts
from sweep.study.backbones import EMBEDDED
from sweep.tasks.pictures.real_pictures import TABLE

SHIPPED = EMBEDDED / "tiny-clip-pictures"
CARD = (SHIPPED / "README.md").read_text()


@pytest.fixture(scope="module")
def backbone() -> DualEncoder:
    loaded = load_backbone(str(SHIPPED)).eval()
    assert isinstance(loaded, DualEncoder)
    return loaded


def row(start: str) -> list[str]:
    """The cells of a line of the card's tables."""
    (line,) = [line for line in CARD.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_it_is_small_and_its_text_tower_has_room_for_prompts(backbone: DualEncoder) -> None:
    assert 4e5 < backbone.model.num_parameters() < 9e5
    assert backbone.model.config.text_config.max_position_embeddings == 32
    assert backbone.model.config.text_config.eos_token_id == backbone.tokenizer.eos_token_id != 2
    longest = "a photo of a Chesapeake Bay retriever, a type of pet."
    assert len(backbone.tokenizer(longest).input_ids) <= 32


@pytest.mark.parametrize("text", ["zebra", "Abyssinian", "747-400", "猫", "🦓", ""])
def test_no_text_is_unknown(backbone: DualEncoder, text: str) -> None:
    assert backbone.tokenizer.unk_token is None
    read = backbone.tokenizer.decode(backbone.tokenizer(text).input_ids, skip_special_tokens=True)
    assert read.strip() == text.lower()


def test_it_is_listed_beside_tiny_clip() -> None:
    said = CliRunner().invoke(app, ["list", "backbones"]).output.split()
    assert {"tiny-clip", "tiny-clip-pictures"} <= set(said)


@pytest.mark.parametrize("k", [1, 5])
def test_it_knows_names_never_drawn_and_its_card_says_how_well(
    backbone: DualEncoder, k: int
) -> None:
    found, chance = caption_recall(backbone, TABLE, k)
    assert found.low > 3 * chance
    assert row(f"R@{k}")[:2] == [f"{chance:.3f}", interval_text(found)]


def test_its_card_says_what_it_knows_of_every_task(backbone: DualEncoder) -> None:
    benchmark = short_study(str(SHIPPED), {"name": "pictures"}, "finetune").benchmark.load()
    above = 0
    for name, task in benchmark.tasks.items():
        found = task_accuracy(backbone, task, TABLE)
        chance, said = row(name)[:2]
        assert chance == f"{1 / len(task.choices):.2f}"
        assert said == interval_text(found, digits=2)
        above += found.low > 1 / len(task.choices)
    assert above >= len(benchmark.tasks) / 2


def test_its_tokenizer_is_that_of_the_recipe(backbone: DualEncoder) -> None:
    made = untrained(read_pairs(TABLE), 0).tokenizer.backend_tokenizer.get_vocab()
    assert backbone.tokenizer.backend_tokenizer.get_vocab() == made


def test_there_is_room_to_learn_and_to_forget() -> None:
    tasks = short_study(str(SHIPPED), {"name": "pictures"}, "finetune").benchmark.task_names()
    scores = {task: [float(cell) for cell in row(task)[2:]] for task in tasks}
    mean = [sum(column) / len(scores) for column in zip(*scores.values(), strict=True)]
    untouched, alone, together, one_by_one = mean
    assert untouched + 0.1 < together < 0.95
    assert untouched + 0.1 < alone < 0.95
    assert one_by_one < together - 0.1


def test_a_folder_of_ones_own_has_no_unknown_words(backbone: DualEncoder) -> None:
    none = Split(np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64))
    choices = ("wombat", "Quetzalcoatlus", "食パン", "707-320")
    task = Task("own", choices, ("a photo of a {}.",), "", none, none)
    found = read_prompts(backbone, task)
    assert found.unknown == ()
    assert found.cut == ()
