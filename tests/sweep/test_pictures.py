"""The benchmark of real pictures, and the table of all that ships."""

import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sweep import Study
from sweep.errors import InputError
from sweep.tasks.pictures import real_pictures
from sweep.tasks.pictures.archives import ARCHIVES
from sweep.tasks.pictures.clip_words import SHOWS_SOMETHING_ELSE
from sweep.tasks.pictures.real_pictures import TABLE, PicturePool, Pictures
from sweep.tasks.pictures.task_list import CAPTIONS, SUITES, TASKS

ROOT = Path(__file__).parents[2]
REDISTRIBUTABLE = {"Apache-2.0", "CC-BY-4.0", "MIT", "OFL-1.1", "CC-PDDC"}
SCANS = {"fashion-mnist", "scikit-learn"}
"""Their classes are names of things seen before; their pictures are not."""


@pytest.fixture(scope="module")
def rows() -> Sequence[Mapping[str, Any]]:
    return pq.read_table(TABLE).to_pylist()


def pixels_of(row: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))


def uses(row: Mapping[str, Any]) -> set[str]:
    """What a picture is for: parts of tasks, or a pool."""
    return {use["split"] for use in row["tasks"]} | ({row["pool"]} if row["pool"] else set())


def study(method: str, *tasks: str) -> Study:
    return Study.from_dict(
        {
            "name": "x",
            "benchmark": {"name": "pictures", "tasks": tasks},
            "backbones": ["tiny-clip-pictures"],
            "methods": [method],
        }
    )


def test_every_picture_has_source_author_licence_and_hash(
    rows: Sequence[Mapping[str, Any]],
) -> None:
    for row in rows:
        assert row["licence"] in REDISTRIBUTABLE
        assert row["source"] in (*ARCHIVES, "scikit-learn")
        assert row["file"]
        assert len(row["sha256"]) == 64
        assert row["author"] or row["licence"] == "CC-PDDC"  # the others ask for it
        pixels = pixels_of(row)
        assert pixels.shape == (32, 32, 3)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == row["sha256_image"]


def test_every_picture_is_for_something_and_stands_once(rows: Sequence[Mapping[str, Any]]) -> None:
    assert all(uses(row) for row in rows)
    assert max(Counter(row["sha256_image"] for row in rows).values()) == 1
    assert {row["pool"] for row in rows} == {"pretrain", "retrieval", None}
    assert all(row["caption"] for row in rows if row["pool"])


def test_no_concept_that_is_tested_is_learnt(rows: Sequence[Mapping[str, Any]]) -> None:
    sides = defaultdict[str, set[str]](set)
    for row in rows:
        if row["source"] not in SCANS:
            sides[row["name"]] |= uses(row)
    tested = {name for name, found in sides.items() if found & {"test", "retrieval"}}
    assert len(tested) > 400
    assert [name for name in tested if len(sides[name]) > 1] == []


def test_what_is_for_testing_resembles_nothing_that_was_learnt(
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """By the correlation of 16x16 pixels; playing cards of a deck do resemble one another."""

    def vectors(chosen: Sequence[Mapping[str, Any]]) -> np.ndarray:
        small = np.stack([pixels_of(row) for row in chosen]).astype(np.float32)
        small = small.reshape(-1, 16, 2, 16, 2, 3).mean((2, 4)).reshape(len(chosen), -1)
        small -= small.mean(1, keepdims=True)
        found: np.ndarray = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
        return found

    drawn = [
        row
        for row in rows
        if row["source"] not in {*SCANS, "noto-fonts"} and not row["name"].endswith(" card")
    ]
    tested = vectors([row for row in drawn if uses(row) & {"test", "retrieval"}])
    learnt = vectors([row for row in drawn if uses(row) & {"train", "pretrain"}])
    closest = (tested @ learnt.T).max(1)
    assert (closest > 0.99).sum() == 0


def test_its_card_and_its_page_say_what_is_there(rows: Sequence[Mapping[str, Any]]) -> None:
    card = (TABLE.parent / "README.md").read_text("utf-8")
    counts = Counter(row["pool"] for row in rows)
    assert f"{len(rows):,} real pictures".replace(",", " ") in card
    assert f"{counts['retrieval']} image-caption pairs" in card
    assert f"{counts['pretrain']:,} captioned pictures".replace(",", " ") in card
    listed = {key for line in card.splitlines() for key in re.findall(r"`([\w-]+)`", line)}
    assert {row["source"] for row in rows} <= listed
    for row in rows:
        holder = (row["author"] or "").split(" (")[0]
        assert holder in card
    page = (ROOT / "docs" / "pictures.md").read_text("utf-8")
    for archive in ARCHIVES.values():
        assert archive.fetch.split()[-1] in page
    for name, task in Pictures().load().tasks.items():
        assert re.search(
            rf"\| `{name}` \| {len(task.choices)} \| .* {len(task.train)} / {len(task.test)} \|",
            page,
        )


def test_drawings_that_show_something_else_are_in_no_task(
    rows: Sequence[Mapping[str, Any]],
) -> None:
    shown = {Path(row["file"]).stem for row in rows if row["source"] == "openclipart"}
    tasked = {Path(row["file"]).stem for row in rows if row["tasks"]}
    assert "dog_06_drawn_with_strai_01" in tasked & shown
    assert not tasked & SHOWS_SOMETHING_ELSE


def test_captions_to_find_again_differ_and_were_never_learnt(
    rows: Sequence[Mapping[str, Any]],
) -> None:
    captions = [row["caption"] for row in rows if row["pool"] == "retrieval"]
    assert len(set(captions)) == len(captions)
    assert not set(captions) & {row["caption"] for row in rows if row["pool"] == "pretrain"}


def test_tasks_have_all_classes_in_both_parts() -> None:
    benchmark = Pictures().load()
    assert tuple(benchmark.tasks) == Pictures().task_names() == tuple(TASKS)
    assert set(benchmark.probes) == {*SUITES, CAPTIONS}
    for task in benchmark.tasks.values():
        for split in (task.train, task.test):
            assert set(split.labels.tolist()) == set(range(len(task.choices)))
            assert len(split.pictures) == len(split)
        assert len(task.train) >= (90 if task.name == "cards" else 150)
        assert len(task.test) >= (30 if task.name == "cards" else 100)
        assert all("{}" in template for template in task.templates)
    assert len(benchmark.probes[CAPTIONS].test) >= 150


def test_labels_are_those_of_the_table(rows: Sequence[Mapping[str, Any]]) -> None:
    known = {
        (row["sha256_image"], use["task"], use["split"]): use["label"]
        for row in rows
        for use in row["tasks"]
    }
    for task in Pictures(tasks=("food", "digits")).load().tasks.values():
        for part, split in (("train", task.train), ("test", task.test)):
            for image, label in zip(split.images(np.arange(len(split))), split.labels, strict=True):
                digest = hashlib.sha256(np.asarray(image).tobytes()).hexdigest()
                assert known[digest, task.name, part] == task.choices[label]


def test_fewer_pictures_are_a_mixture_of_all_classes() -> None:
    whole = Pictures(tasks=("animals",)).load().tasks["animals"]
    few = Pictures(tasks=("animals",), train=20, test=11).load().tasks["animals"]
    assert (len(few.train), len(few.test)) == (20, 11)
    assert np.bincount(few.train.labels).tolist() == [4] * 5
    assert (few.train.images(np.arange(20)) == whole.train.images(np.arange(20))).all()


def test_fingerprints_follow_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Pictures().fingerprints()
    assert set(before) == {*TASKS, *SUITES, CAPTIONS}
    assert Pictures(tasks=("food",)).fingerprints()["food"] == before["food"]
    fewer = Pictures(train=50).fingerprints()
    assert fewer["food"].train != before["food"].train
    assert fewer["food"].test == before["food"].test
    changed = [dict(row) for row in real_pictures._table()]
    touched = next(row for row in changed if any(use["task"] == "food" for use in row["tasks"]))
    touched["sha256_image"] = "0" * 64
    monkeypatch.setattr(real_pictures, "_table", lambda: changed)
    real_pictures._turns.cache_clear()
    try:
        after = Pictures().fingerprints()
        assert after["food"] != before["food"]
        assert after["clothing"] == before["clothing"]
    finally:
        real_pictures._turns.cache_clear()


def test_its_pool_is_in_no_task_and_captions_are_its_own() -> None:
    images, captions = PicturePool(size=300).load()
    assert len(images) == len(captions) == 300
    tested = {
        hashlib.sha256(np.asarray(image).tobytes()).hexdigest()
        for task in Pictures().load().tasks.values()
        for split in (task.train, task.test)
        for image in split.images(np.arange(len(split)))
    }
    assert not tested & {hashlib.sha256(np.asarray(i).tobytes()).hexdigest() for i in images}
    assert PicturePool(size=300).fingerprint() != PicturePool(size=299).fingerprint()


def test_wrong_tasks_are_named_in_a_sentence() -> None:
    with pytest.raises(InputError, match=r"Unknown task 'clothes'.*Did you mean 'clothing'"):
        study("zscl", "clothes")
    with pytest.raises(InputError, match="each named once"):
        study("zscl", "food", "food")


def test_methods_that_need_captions_find_them_and_generated_images_have_to_be_named() -> None:
    assert isinstance(study("zscl", "food", "digits").data()["reference"], PicturePool)
    with pytest.raises(InputError, match="generator"):
        study("gift", "food", "digits").data()
