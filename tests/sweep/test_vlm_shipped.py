"""tiny-vlm: the weights that ship, what they know, and what their card says."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from methods.backbones import load_backbone
from methods.backbones.fusion import Fusion
from methods.data import Task, batch_of
from sweep.cli.main import app
from sweep.pretrain.held_out import names_shown
from sweep.pretrain.model_card import interval_text
from sweep.pretrain.picture_pairs import read_pairs
from sweep.pretrain.quality import answer_figures
from sweep.pretrain.tiny_vlm import ROOMS, untrained
from sweep.study.backbones import EMBEDDED
from sweep.tasks.pictures.real_pictures import TABLE, Pictures
from sweep.tasks.world import World

SHIPPED = EMBEDDED / "tiny-vlm"
CARD = (SHIPPED / "README.md").read_text()


@pytest.fixture(scope="module")
def backbone() -> Fusion:
    loaded = load_backbone(str(SHIPPED)).eval()
    assert isinstance(loaded, Fusion)
    return loaded


def rows(start: str) -> list[list[str]]:
    """The cells of the lines of the card's tables that begin so, first of what it knows."""
    lines = [line for line in CARD.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines]


def test_it_is_small_and_listed(backbone: Fusion) -> None:
    assert 5e5 < backbone.model.num_parameters() < 8e5
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 4e6
    assert "tiny-vlm" in CliRunner().invoke(app, ["list", "backbones"]).output.split()


def test_its_tokenizer_is_that_of_the_recipe(backbone: Fusion) -> None:
    made = untrained(read_pairs(TABLE), 0)[1].tokenizer.backend_tokenizer.get_vocab()
    assert backbone.tokenizer.backend_tokenizer.get_vocab() == made


def test_it_loads_offline_with_plain_transformers() -> None:
    script = (
        "import sys; from transformers import AutoModelForImageTextToText, AutoProcessor;"
        "print(*(type(part.from_pretrained(sys.argv[1])).__name__"
        " for part in (AutoModelForImageTextToText, AutoProcessor)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(SHIPPED)],
        env={"HF_HUB_OFFLINE": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["LlavaForConditionalGeneration", "LlavaProcessor"]


def test_it_answers_as_plain_transformers_do(backbone: Fusion) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(SHIPPED).eval()
    processor = AutoProcessor.from_pretrained(SHIPPED)
    task = World(tasks=("colors",), train=1, test=6, kind="answers").load().tasks["colors"]
    images = np.asarray(task.test.pictures)
    batch = batch_of(task, task.test, torch.arange(6), backbone.pixels(images))
    written = backbone.write(batch)
    for image, answer in zip(images, written, strict=True):
        content = [
            {"type": "image", "image": Image.fromarray(image)},
            {"type": "text", "text": task.question},
        ]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        ids = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0]
        new = ids[inputs["input_ids"].shape[1] :]
        assert processor.tokenizer.decode(new, skip_special_tokens=True).strip() == answer


def said(name: str, task: Task, backbone: Fusion, names: list[str]) -> float:
    """How far its knowledge of a task is above chance; the card says the same."""
    found = answer_figures(backbone, task, names)
    figures = (interval_text(one, 2) for one in (found.chosen, found.written))
    assert rows(name)[0] == [f"{found.chance:.2f}", *figures]
    return found.chosen.low - found.chance


def test_it_knows_the_world_but_not_all_of_it(backbone: Fusion) -> None:
    tasks = World(train=1).load().tasks
    above = {
        name: said(f"world: {name}", task, backbone, [str(i) for i in range(len(task.test))])
        for name, task in tasks.items()
    }
    assert sum(low > 0 for low in above.values()) >= 9
    assert all(float(rows(f"world: {name}")[0][1].split()[0]) < 0.9 for name in tasks)


def test_it_knows_something_of_pictures_that_it_has_not_seen(backbone: Fusion) -> None:
    tasks = Pictures(train=1).load().tasks
    above = {
        name: said(f"pictures: {name}", task, backbone, names_shown(task, TABLE))
        for name, task in tasks.items()
    }
    assert sum(low > 0 for low in above.values()) >= 3


def test_there_is_room_to_learn() -> None:
    for world, benchmark in ROOMS.items():
        scores = [[float(c) for c in rows(f"{world}: {t}")[1]] for t in benchmark["tasks"]]
        untouched, alone, together, _ = np.mean(scores, axis=0)
        assert untouched + 0.1 < alone < 0.95, world
        assert untouched + 0.1 < together < 0.95, world
