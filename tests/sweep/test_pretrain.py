"""tiny-clip: its recipe, and the weights that ship."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from methods.backbones import load_backbone
from sweep.pretrain import pretrain_tiny_clip
from sweep.pretrain.caption_matching import contrastive_loss
from sweep.pretrain.quality import figures
from sweep.pretrain.tokenizer import word_tokenizer
from sweep.study.backbones import EMBEDDED, embedded
from sweep.tasks.world import World
from sweep.tasks.world.corpus import vocabulary

TINY_CLIP = EMBEDDED / "tiny-clip"


def test_images_with_equal_captions_match_one_another() -> None:
    similarity = torch.tensor([[3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 3.0]])
    pair = math.log(2 + math.exp(-3))  # two of three at 3: cross entropy with half and half
    single = math.log(1 + 2 * math.exp(-3))
    expected = (2 * pair + single) / 3
    assert contrastive_loss(similarity, ["a", "a", "b"]).item() == pytest.approx(expected)


def test_different_captions_match_only_their_own_image() -> None:
    loss = contrastive_loss(torch.eye(2) * 5, ["a", "b"])
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-5)))


def test_a_word_is_a_token_and_the_rest_is_unknown() -> None:
    tokenizer = word_tokenizer(["a", "A", "red"], max_length=8)
    ids = tokenizer("red A wombat a").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["<bos>", "red", "A", "<unk>", "a", "<eos>"]


def test_the_recipe_repeats_itself_and_leaves_global_randomness_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    first = pretrain_tiny_clip(tmp_path / "first", steps=3)
    again = pretrain_tiny_clip(tmp_path / "again", steps=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("first", "again")]
    assert weights[0] == weights[1]


def test_a_written_model_is_the_trained_one(tmp_path: Path) -> None:
    reached = pretrain_tiny_clip(tmp_path / "model", steps=3, seed=1)
    assert figures(load_backbone(str(tmp_path / "model")).eval()) == pytest.approx(reached)


def test_progress_counts_the_steps(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    pretrain_tiny_clip(
        tmp_path / "model", steps=2, progress=lambda done, total, loss: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("name", [name for name in embedded() if "clip" in name])
def test_shipped_models_load_offline(name: str) -> None:
    script = (
        "import sys; from transformers import AutoImageProcessor, AutoModel, AutoTokenizer;"
        "print(*(type(part.from_pretrained(sys.argv[1])).__name__"
        " for part in (AutoModel, AutoTokenizer, AutoImageProcessor)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(EMBEDDED / name)],
        env={"HF_HUB_OFFLINE": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    model, tokenizer, processor = run.stdout.split()
    assert model == "CLIPModel"
    assert tokenizer != "CLIPTokenizer"
    assert processor.startswith("CLIPImageProcessor")


def test_the_shipped_tokenizer_knows_every_word() -> None:
    known = json.loads((TINY_CLIP / "tokenizer.json").read_text())["model"]["vocab"]
    assert set(vocabulary()) <= set(known)


def test_the_shipped_model_knows_the_world_but_not_all_of_it() -> None:
    benchmark = World(train=1).load()
    reached = figures(load_backbone(str(TINY_CLIP)).eval())
    assert 0.5 < reached["mean of tasks"] < 0.7
    for name, task in benchmark.tasks.items():
        assert 1.5 / len(task.choices) < reached[name] < 0.9, name
    assert reached["mean of suites"] > 0.85
    assert reached["image-to-text R@1"] > 0.9


def test_words_of_blobs_are_known_apart_but_not_understood() -> None:
    task = World(tasks=("blobs",), train=1).load().tasks["blobs"]
    backbone = load_backbone(str(TINY_CLIP)).eval()
    with torch.no_grad():
        embeddings = backbone.embed_texts(task.prompts()).numpy()
    assert len(np.unique(embeddings.round(4), axis=0)) == len(task.choices)
