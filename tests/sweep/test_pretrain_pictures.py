"""tiny-clip-pictures: its recipe, at small size."""

import io
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageDraw

from methods.backbones.dual_encoder import DualEncoder
from sweep.errors import InputError
from sweep.pretrain import tiny_clip_pictures
from sweep.pretrain.augment import augment
from sweep.pretrain.english import COMMON_WORDS
from sweep.pretrain.held_out import caption_recall, over_names
from sweep.pretrain.picture_pairs import TEMPLATES, PicturePairs, read_pairs
from sweep.pretrain.tiny_clip_pictures import fit, untrained
from sweep.pretrain.tokenizer import byte_tokenizer

TOKENIZER = byte_tokenizer(COMMON_WORDS.split(), 1024, 32)
COLORS = ("red", "green", "blue", "orange", "purple", "black")
SHAPES = ("disc", "box", "bar", "pole")
STRANGE = (
    "",
    "🦓",
    "猫と犬",
    "naïve café",
    "ωμέγα",
    "a\tb\nc",
    "apse/indoor",
    "747-400",
    "ﬁ",
    "\x00",
)


def drawn(color: str, shape: str, shift: int) -> bytes:
    page = Image.new("RGB", (32, 32), "white")
    boxes = {"disc": (8, 8, 24, 24), "box": (8, 8, 24, 24), "bar": (4, 13, 28, 19)}
    box = [side + shift for side in boxes.get(shape, (13, 4, 19, 28))]
    pen = ImageDraw.Draw(page)
    (pen.ellipse if shape == "disc" else pen.rectangle)(box, fill=color)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def table_of(folder: Path, others: Any = drawn) -> Path:
    """Pictures of 24 names, of which every fifth is held out; `others` draws those."""
    rows = []
    for i, (color, shape) in enumerate((c, s) for c in COLORS for s in SHAPES):
        pool = "retrieval" if i % 5 == 2 else "pretrain"
        draw = drawn if pool == "pretrain" else others
        for shift in (-2, 0, 2):
            image = {"bytes": draw(color, shape, shift), "path": None}
            caption = f"{color} {shape}, a shape"
            rows.append(
                {"image": image, "name": f"{color} {shape}", "caption": caption, "pool": pool}
            )
    file = folder / "pictures.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def trained(
    table: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[DualEncoder, list[float]]:
    monkeypatch.setattr(tiny_clip_pictures, "BATCH_SIZE", 48)
    pairs, losses = read_pairs(table), list[float]()
    backbone = untrained(pairs, seed=0)
    fit(backbone, pairs, steps, 0, lambda done, total, loss: losses.append(loss))
    return backbone, losses


def weights(backbone: DualEncoder) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in backbone.model.state_dict().values()]


def test_a_small_run_learns_what_it_has_never_seen_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(tmp_path)
    backbone, losses = trained(table, 100, monkeypatch)
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])
    found, chance = caption_recall(backbone, table, 1)
    assert chance == pytest.approx(1 / 5)
    assert found.mean > 2 * chance


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.get_rng_state()
    table = table_of(tmp_path)
    runs = [trained(table, 3, monkeypatch)[0] for _ in range(2)]
    assert weights(runs[0]) == weights(runs[1])
    texts = [run.tokenizer.backend_tokenizer.to_str() for run in runs]
    assert texts[0] == texts[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    pairs = read_pairs(table_of(tmp_path))
    assert weights(untrained(pairs, 0)) != weights(untrained(pairs, 1))


def test_pictures_of_no_pool_are_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "poisoned").mkdir()
    clean = table_of(tmp_path)
    poisoned = table_of(tmp_path / "poisoned", others=lambda *_: b"no picture")
    runs = [trained(table, 2, monkeypatch)[0] for table in (clean, poisoned)]
    assert weights(runs[0]) == weights(runs[1])
    with pytest.raises(OSError, match="cannot identify"):
        read_pairs(poisoned, "retrieval")


def test_a_table_without_the_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no picture whose pool is 'reference'"):
        read_pairs(table_of(tmp_path), "reference")


@pytest.mark.parametrize("text", STRANGE)
def test_the_tokenizer_knows_every_text(text: str) -> None:
    ids = TOKENIZER(text).input_ids
    assert ids[0] == TOKENIZER.bos_token_id
    assert ids[-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.unk_token_id is None
    read = TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert read.removeprefix(" ") == text


def test_the_tokenizer_reads_capitals_as_small_letters() -> None:
    assert TOKENIZER("A Photo of É").input_ids == TOKENIZER("a photo of é").input_ids


def test_the_end_is_not_token_2_which_transformers_takes_for_an_old_fault() -> None:
    assert TOKENIZER.eos_token_id != 2
    assert len({TOKENIZER.eos_token_id, TOKENIZER.pad_token_id, TOKENIZER.bos_token_id}) == 3


def test_common_words_are_read_in_few_pieces() -> None:
    pieces = [len(TOKENIZER(word).input_ids) - 2 for word in COMMON_WORDS.split()]
    assert np.mean(pieces) < 2.5


def test_every_way_of_saying_it_is_used_and_its_meaning_is_what_is_shown() -> None:
    pairs = PicturePairs(
        torch.empty(0), ("apple", "five"), ("red apple, a fruit", "handwritten five")
    )
    said = {pairs.say(0, Random(seed)) for seed in range(2000)}
    shown = {
        ("red apple", t.format(text))
        for t in TEMPLATES
        for text in ("red apple", "red apple, a fruit")
    }
    assert said == shown | {("a fruit", template.format("a fruit")) for template in TEMPLATES}
    assert {pairs.say(1, Random(seed))[0] for seed in range(50)} == {"handwritten five"}


def test_what_would_be_something_else_in_a_mirror_is_not_mirrored() -> None:
    captions = ("left arrow", "Thai letter", "owl, a bird", "handwritten five", "flag of Chad")
    pairs = PicturePairs(torch.empty(0), captions, captions)
    assert pairs.may_flip.tolist() == [False, False, True, False, False]


def test_only_what_may_be_mirrored_is() -> None:
    image = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    image[..., :16] = 0  # black on the left
    generator = torch.Generator().manual_seed(0)

    def darker_on_the_left(may: bool) -> torch.Tensor:
        many = image.expand(200, -1, -1, -1)
        found = augment(many, torch.full((200,), may), generator).float().mean(dim=(1, 2))
        return found[:, :8].mean(dim=1) < found[:, -8:].mean(dim=1)

    assert darker_on_the_left(False).all()
    assert 0.3 < darker_on_the_left(True).double().mean() < 0.7


def test_every_drawing_of_a_name_counts_for_that_name_only() -> None:
    hits = torch.tensor([True] * 8 + [False, False])
    found = over_names(hits, ["owl"] * 8 + ["bee", "pie"])
    assert found.mean == pytest.approx(1 / 3)
    assert found.low == 0
