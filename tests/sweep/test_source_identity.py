"""What identifies a task of a data set; what is said about it; and that it is looked at once."""

import pickle
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from methods.data import Split
from tests.sweep.source_tasks import benchmark, identified, refusal, write
from tests.sweep.sources import isolate, picture, write_json

ROWS: dict[str, list[Any]] = {
    "label": [0, 1, 2] * 4,
    "other": [1, 0, 2] * 4,
    "ask": [f"Is it {i}?" for i in range(12)],
    "caption": [f"said {i}" for i in range(12)],
    "answer": [f"yes {i}" for i in range(12)],
    "image_id": list(range(12)),
    "pairwise": [0, 0, 1, 1] * 3,
}
PROBE = {
    "label": [0, 1, 2],
    **{name: values[:3] for name, values in ROWS.items() if name != "label"},
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return write(tmp_path / "data", train=ROWS, test=PROBE)


@pytest.mark.parametrize(
    "change",
    [
        {"note": "read this", "licence": "MIT", "size": "1 GB", "expected": {"train": 4}},
        {"split_seed": 9},
        {"seed": 9},
        {"template": ["a photo of a {}."]},
        {"question": "What is in the image?"},
        {"columns": {"label": "label", "image": "image"}},
        {"rename": {"sea_lion": "sea lion"}},
        {"classes": ["sea_lion", "apse/indoor", ".22"]},
        {"where": {"label": [0, 1, 2]}},
        {"shots": 100},
        {"score": "accuracy"},
    ],
)
def test_what_makes_no_difference_does_not_count(path: str, change: Mapping[str, Any]) -> None:
    assert identified({"path": path} | change) == identified({"path": path})


@pytest.mark.parametrize(
    ("change", "trains", "tests"),
    [
        ({"template": "a {}."}, True, True),
        ({"template": ["a photo of a {}.", "a {}."]}, True, True),
        ({"question": "Which?"}, True, True),
        ({"rename": {".22": "rifle"}}, True, True),
        ({"classes": ["apse/indoor", "sea_lion", ".22"]}, True, True),
        (
            {"columns": {"label": "other"}, "classes": ["sea_lion", "apse/indoor", ".22"]},
            True,
            True,
        ),
        ({"columns": {"question": "ask"}}, True, True),
        ({"shots": 2}, True, False),
        ({"subset": 6}, True, False),
        ({"subset": 6, "seed": 1}, True, False),
        ({"test": "train"}, False, True),
        ({"score": "class_accuracy"}, False, True),
        ({"train": "train+test"}, True, False),
    ],
)
def test_what_makes_a_difference_counts_where_it_does(
    path: str, change: Mapping[str, Any], trains: bool, tests: bool
) -> None:
    before, after = identified({"path": path}), identified({"path": path} | change)
    assert (before.train != after.train, before.test != after.test) == (trains, tests)


@pytest.mark.parametrize(
    ("kind", "change", "trains", "tests"),
    [
        ("pairs", {"columns": {"captions": "answer"}}, True, True),
        ("pairs", {"columns": {"image_id": "pairwise"}}, True, True),
        ("answers", {"columns": {"answers": "caption"}}, True, True),
        ("answers", {"columns": {"question": "ask"}}, True, True),
        ("answers", {"answer_tokens": 5}, False, True),
        ("answers", {"score": "cider"}, False, True),
    ],
)
def test_texts_count(
    path: str, kind: str, change: Mapping[str, Any], trains: bool, tests: bool
) -> None:
    source = {"path": path, "kind": kind}
    before, after = identified(source), identified(source | change)
    assert (before.train != after.train, before.test != after.test) == (trains, tests)


def test_kinds_differ(path: str) -> None:
    columns = {"captions": "ask"}, {"answers": "ask"}
    pairs = identified({"path": path, "kind": "pairs", "columns": columns[0]})
    assert pairs != identified({"path": path, "kind": "answers", "columns": columns[1]})


def test_labels_and_shared_pictures_count_by_themselves(tmp_path: Path) -> None:
    rows = {
        "label": ["a", "b"] * 2,
        "other": ["b", "a"] * 2,
        "answer": ["yes"] * 4,
        "image_id": [1, 2, 3, 4],
        "pairwise": [None, None, 3, 3],
    }
    path = write(tmp_path / "x", train=rows, test=rows)
    before, after = (
        identified({"path": path}),
        identified({"path": path, "columns": {"label": "other"}}),
    )
    assert before.train != after.train
    assert before.test != after.test
    one, other = (
        Split(np.zeros((2, 1, 1, 3), np.uint8), np.zeros(3, np.int64), shown=np.array(shown))
        for shown in ([0, 1, 1], [0, 0, 1])
    )
    content = next(iter(benchmark({"path": path})._made("a").tasks.values())).contents["train"]
    assert replace(content, split=one).digest != replace(content, split=other).digest


def test_seeds_count_where_something_is_drawn(path: str) -> None:
    source = {"path": path, "split": 0.5}
    assert identified(source) != identified(source | {"split_seed": 1})
    few = {"path": path, "shots": 2}
    assert identified(few).train != identified(few | {"seed": 5}).train
    one, other = (benchmark(source | {"split_seed": seed}).found()[0] for seed in (42, 1))
    assert re.search(r"6 training and 6 test images\. The split is [0-9a-f]{8}\.$", one)
    assert one != other
    assert benchmark(source | {"template": "{}"}).found()[0] == one
    assert "The split is" not in benchmark({"path": path}).found()[0]


def test_other_tasks_do_not_count(path: str) -> None:
    alone = benchmark({"path": path})
    beside = benchmark({"path": path}, b={"path": path, "template": "{}"})
    assert beside.fingerprints()["a"] == alone.fingerprints()["a"]
    assert beside.fingerprint() != alone.fingerprint()


def test_a_copy_elsewhere_is_the_same(path: str, tmp_path: Path) -> None:
    copy = shutil.copytree(path, tmp_path / "copy")
    assert identified({"path": str(copy)}) == identified({"path": path})


def test_what_stands_in_one_split_counts_for_that_one(path: str, tmp_path: Path) -> None:
    before = identified({"path": path})
    changed = write(tmp_path / "other", train=ROWS, test=PROBE | {"answer": ["no", "no", "no"]})
    after = identified({"path": changed})
    assert after.train == before.train
    assert after.test != before.test  # the pictures are in the file that has changed


def test_images_in_files_count_by_their_content(tmp_path: Path) -> None:
    def use(folder: str, first: int) -> Any:
        for number in range(4):
            (tmp_path / folder / "pictures").mkdir(parents=True, exist_ok=True)
            picture(first + number).save(tmp_path / folder / "pictures" / f"{folder}{number}.png")
        rows = [
            {"image": f"pictures/{folder}{i}.png", "caption": f"said {i}", "unused": folder}
            for i in range(4)
        ]
        write_json(tmp_path / folder / "train.json", rows[:2])
        write_json(tmp_path / folder / "test.json", rows[2:])
        return identified({"path": str(tmp_path / folder), "kind": "pairs"})

    assert use("one", 0) == use("two", 0)
    before = use("one", 0)
    picture(9).save(tmp_path / "one" / "pictures" / "one3.png")
    after = identified({"path": str(tmp_path / "one"), "kind": "pairs"})
    assert after.train == before.train
    assert after.test != before.test


def test_sizes_that_a_protocol_has_otherwise_are_said(path: str) -> None:
    expected = {"train": 1880, "test": 3, "classes": 47}
    source = {"path": path, "expected": expected}
    assert benchmark(source).warnings() == (
        "Task 'a': 3 classes where the protocol has 47.",
        "Task 'a': 12 training images where the protocol has 1,880.",
    )
    right = {"path": path, "expected": {"train": 12, "test": 3, "classes": 3}}
    assert benchmark(right | {"shots": 2}).warnings() == ()
    assert benchmark(right | {"subset": 5}).warnings() == ()
    halves = {"path": path, "split": 0.5, "expected": {"train": 6, "test": 6}}
    assert benchmark(halves).warnings() == ()
    captioned = {"path": path, "kind": "pairs", "columns": {"image_id": "pairwise"}}
    assert benchmark(captioned | {"expected": {"train": 2, "test": 3}}).warnings()[0] == (
        "Task 'a': 2 test images where the protocol has 3."
    )
    asked = {"path": path, "kind": "answers", "expected": {"test": 4}}
    assert benchmark(asked).warnings() == ("Task 'a': 3 test samples where the protocol has 4.",)
    named = benchmark({"path": path}, DTD={"path": path, "expected": {"test": 2}}).warnings()
    assert named == ("Task 'DTD': 3 test images where the protocol has 2.",)


def test_a_cut_has_the_sizes_of_the_whole(tmp_path: Path) -> None:
    rows = {"label": ["a", "b", "c", "d"] * 2}
    path = write(tmp_path / "x", train=rows, test=rows)
    cut = {"path": path, "cut": {"tasks": 2}, "expected": {"train": 8, "test": 8, "classes": 4}}
    assert benchmark(cut).warnings() == ()


def test_images_to_train_and_to_test_on_are_said(path: str, tmp_path: Path) -> None:
    said = "in both train and test, so its score is too high."
    both = benchmark({"path": path, "test": "train"}).warnings()
    assert both == (f"Task 'a': 12 images {said}",)
    assert benchmark({"path": path}).warnings() == ()  # numbers of another split say nothing
    source = {"path": path, "columns": {"image_id": "image_id"}}
    assert benchmark(source).warnings() == (f"Task 'a': 3 images {said}",)
    split = {"path": path, "split": 0.5, "columns": {"image_id": "pairwise"}}
    assert benchmark(split).warnings() == (f"Task 'a': 2 images {said}",)


def broken(folder: Path) -> str:
    """Writes a data set whose second training image is cut off."""
    import datasets

    picture(1, size=64).save(folder / "whole.png")
    content = (folder / "whole.png").read_bytes()
    (folder / "data").mkdir()
    for split in ("train", "test"):
        images = [{"bytes": content[: (60 if i and split == "train" else None)]} for i in range(2)]
        data = datasets.Dataset.from_dict(
            {"image": [one | {"path": None} for one in images], "label": ["a", "b"]}
        )
        data.cast_column("image", datasets.Image()).to_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet"
        )
    return str(folder / "data")


def test_images_that_cannot_be_read_are_found(tmp_path: Path) -> None:
    found = benchmark({"path": broken(tmp_path)})
    assert found.found()
    with pytest.raises(ValueError, match=r"split 'train', row 2 cannot be read as an image"):
        found.check()


def test_images_are_decoded_once_on_a_machine(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = list[int]()

    def count(pictures: Any) -> None:
        decoded.append(len(pictures))

    monkeypatch.setattr("sweep.tasks.samples.content.decode_all", count)
    benchmark({"path": path}).check()
    assert decoded == [12, 3]
    benchmark({"path": path, "template": "{}"}).check()
    assert decoded == [12, 3]
    benchmark({"path": path, "subset": 6}).check()
    assert decoded == [12, 3, 6]


def test_nothing_is_decoded_before_it_is_asked_for(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Image.Image:
        raise AssertionError

    monkeypatch.setattr("sweep.tasks.sources.arrow.open_picture", fail)
    found = benchmark({"path": path, "split": 0.5, "shots": 1})
    assert found.fingerprint()
    assert found.found()
    assert found.load().tasks["a"].train.pictures is not None


def test_other_processes_read_for_themselves(path: str) -> None:
    found = benchmark({"path": path})
    before = found.fingerprint()
    assert len(pickle.dumps(found)) < 5000
    assert pickle.loads(pickle.dumps(found)).fingerprint() == before
    assert found.anew().fingerprint() == before


def test_each_split_is_opened_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep.tasks.samples import chosen

    opened = list[str]()
    known = chosen.open_table

    def count(source: Any, split: str, what: str) -> Any:
        opened.append(split)
        return known(source, split, what)

    monkeypatch.setattr(chosen, "open_table", count)
    found = benchmark({"path": path, "cut": {"column": "label"}, "kind": "pairs"})
    found.task_names()
    found.found()
    found.load()
    found.warnings()
    assert opened == ["train", "test"]


def test_broken_words_have_one_sentence(path: str) -> None:
    assert "Did you mean 'train'?" in refusal({"path": path, "train": "trian"})
