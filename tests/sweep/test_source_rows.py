"""Tables of rows that name images in files of their own: JSON, CSV, split files, folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.errors import InputError
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import identify
from tests.sweep.sources import (
    COMMIT,
    WHAT,
    isolate,
    numbers,
    on_the_hub,
    open_split,
    picture,
    refusal,
    write_json,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def images(folder: Path, names: Sequence[str]) -> str:
    """Writes pictures with the number of their place as colour."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / name)
    return str(folder)


def talk(number: int, *turns: str, **others: Any) -> dict[str, Any]:
    """Returns an entry of LLaVA's format."""
    speakers = ("human", "gpt")
    said = [{"from": speakers[i % 2], "value": text} for i, text in enumerate(turns)]
    return {"id": number, "image": f"./VQA/{number}.png", "conversations": said, **others}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as CoIN and UCIT are unpacked: conversations to train on, questions to test on."""
    images(tmp_path / "x" / "pictures", [f"VQA/{i}.png" for i in range(4)])
    train = [
        talk(0, "<image>\nWhat is it?\nAnswer briefly.", "a cat", "And its colour?", "red"),
        talk(2, "Who is it?\n<image>", "nobody", category="people"),
    ]
    test = [
        {"question_id": i, "image": f"VQA/{i}.png", "text": f"What is {i}?\n", "answer": f"a {i}"}
        for i in (3, 1)
    ]
    write_json(tmp_path / "x" / "train_4w.json", train)
    write_json(tmp_path / "x" / "test_3000.json", test)
    return tmp_path / "x"


def test_conversations_are_questions_and_answers(folder: Path) -> None:
    source = {"path": str(folder), "images": "pictures"}
    table = open_split(source)
    assert len(table) == 3
    assert table.values("question") == [
        *("What is it?\nAnswer briefly.", "And its colour?", "Who is it?"),
    ]
    assert table.values("answer") == ["a cat", "red", "nobody"]
    assert table.values("category") == [None, None, "people"]
    assert table.values("id") == [0, 0, 2]
    assert table.values("image") == ["./VQA/0.png", "./VQA/0.png", "./VQA/2.png"]
    assert numbers(table) == [0, 0, 2]
    assert "conversations" not in table.columns
    assert table.place(2) == f"{WHAT}: '{folder}': 'train_4w.json', entry 2"


def test_what_is_tested_on_has_the_same_columns(folder: Path) -> None:
    table = open_split({"path": str(folder), "images": "pictures"}, "test")
    assert table.values("question") == ["What is 3?", "What is 1?"]
    assert table.values("answer") == ["a 3", "a 1"]
    assert table.values("question_id") == [3, 1]
    assert numbers(table) == [3, 1]


def test_files_may_be_named_and_lie_on_the_hub(folder: Path, tmp_path: Path) -> None:
    (folder / "train_4w.json").rename(folder / "a.json")
    on_the_hub(tmp_path / "hub", "me/ucit", folder, COMMIT, "main")
    for path in (str(folder), "me/ucit"):
        source = {"path": path, "images": "pictures", "files": {"train": "a*.json"}}
        assert numbers(open_split(source)) == [0, 0, 2]
        assert "allowed: train." in refusal(source, "test")
        assert "Did you mean" not in refusal(source, "x")
    assert "images: there is no folder 'photos'" in refusal(
        {"path": str(folder), "images": "photos"}, "test"
    )


def test_a_split_may_be_in_several_files_of_lines(tmp_path: Path) -> None:
    images(tmp_path / "x", ["0.png", "1.png"])
    for number in range(2):
        row = {"image": f"{number}.png", "answers": ["a", "b"], "n": number}
        (tmp_path / "x" / f"part{number}.jsonl").write_text(f"\ufeff\n{json.dumps(row)}\n\n")
    table = open_split({"path": str(tmp_path / "x"), "files": {"train": "part*.jsonl"}})
    assert numbers(table) == [0, 1]
    assert table.values("answers") == [["a", "b"], ["a", "b"]]
    assert table.values("n") == [0, 1]
    assert table.place(1).endswith("'part1.jsonl', entry 2")


def test_rows_may_be_in_csv_files(tmp_path: Path) -> None:
    images(tmp_path / "x", ["0.png", "1.png"])
    (tmp_path / "x" / "train.csv").write_text('image,caption\n0.png,"a, b"\n1.png,7\n')
    table = open_split({"path": str(tmp_path / "x")})
    assert numbers(table) == [0, 1]
    assert table.values("caption") == ["a, b", "7"]


GOOD = talk(0, "<image>\nWhat?", "a cat")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([GOOD, GOOD | {"image": ["VQA/0.png", "VQA/1.png"]}], "entry 2: 2 images in 'image'; a s"),
        ([GOOD, GOOD | {"image": []}], "entry 2 names no image in 'image'"),
        ([GOOD, {k: v for k, v in GOOD.items() if k != "image"}], "entry 2 names no image"),
        ([GOOD, GOOD | {"image": 7}], "column 'image' holds no images"),
        ([GOOD | {"image": "VQA/9.png"}], "entry 1: the image '"),
        ([talk(0, "<image><image>\nWhat?", "a")], "entry 1: a conversation about 2 images; a samp"),
        ([talk(0, "<image>What?", "a", "<image>?", "b")], "entry 1: a conversation about 2 images"),
        ([talk(0, "<image>\nWhat?")], "entry 1: the last question has no answer."),
        ([talk(0)], "entry 1: a conversation without a question and its answer."),
        ([GOOD | {"conversations": "hello"}], "entry 1: conversations must be a list, got 'hello'"),
        ([GOOD | {"conversations": [{"from": "gpt", "value": "x"}]}], "do not take turns"),
        ([GOOD | {"conversations": [{"from": "me", "value": "x"}]}], "'from' human or gpt, got {"),
        ([GOOD | {"conversations": [{"from": "human", "value": 7}]}], "a text as 'value'"),
        ([GOOD | {"conversations": ["x"]}], "a text as 'value'"),
        ([GOOD, 7], "entry 2: must be an object, got 7"),
        ([], "split 'train' has no rows."),
    ],
)
def test_conversations_that_cannot_be_used_are_named(
    folder: Path, entries: Any, message: str
) -> None:
    write_json(folder / "train_4w.json", entries)
    said = refusal({"path": str(folder), "images": "pictures"}, "train", "image")
    assert message in said
    assert said.startswith(f"{WHAT}: '{folder}'")


def test_files_that_are_no_json_are_named(folder: Path) -> None:
    (folder / "train_4w.json").write_text('[{"image": ')
    message = refusal({"path": str(folder)})
    assert message.startswith(f"{WHAT}: '{folder}': 'train_4w.json' cannot be read: ")
    (folder / "train_4w.json").write_bytes(b'[{"image": "\xe9"}]')
    assert "train_4w.json' cannot be read: " in refusal({"path": str(folder)})


def test_rows_without_images_can_be_left_out(folder: Path) -> None:
    without = {key: value for key, value in GOOD.items() if key != "image"}
    write_json(folder / "train_4w.json", [without, GOOD, without])
    table = open_split({"path": str(folder), "images": "pictures"})
    with pytest.raises(InputError, match=r"entry 1 names no image in 'image', nor does 1 other"):
        table.pictures("image", np.arange(3))
    assert [int(row) for row in table.values("has_image")] == [0, 1, 0]
    assert numbers(table, rows=[1]) == [0]


def test_all_images_that_are_missing_are_counted(folder: Path) -> None:
    for number in (1, 3):
        (folder / "pictures" / "VQA" / f"{number}.png").unlink()
    message = refusal({"path": str(folder), "images": "pictures"}, "test", "image")
    assert message.endswith("VQA/3.png' is not there, nor is 1 other.")


def test_images_are_part_of_what_identifies_local_data(folder: Path) -> None:
    def identity() -> str:
        source = TaskSource.model_validate({"path": str(folder), "images": "pictures"})
        return identify(source, WHAT)

    before = identity()
    moved = folder.rename(folder.parent / "y")
    folder = moved
    assert identity() == before
    picture(99).save(folder / "pictures" / "VQA" / "9.png")
    assert identity() == before
    picture(99).save(folder / "pictures" / "VQA" / "2.png")
    assert identity() != before
    picture(2).save(folder / "pictures" / "VQA" / "2.png")
    assert identity() == before
    file = folder / "test_3000.json"
    file.write_text(file.read_text().replace("a 3", "a 4"))
    assert identity() != before


def test_a_split_file_names_images_and_classes(tmp_path: Path) -> None:
    images(tmp_path / "x" / "photos", ["a/0.png", "b/1.png", "b/2.png"])
    splits = {
        "train": [["b/1.png", 1, ".22"]],
        "val": [],
        "test": [["b/2.png", 1, ".22"], ["a/0.png", 0, "apse/indoor"]],
    }
    file = tmp_path / "x" / "split_zhou_X.json"
    write_json(file, splits)
    source = {"path": str(tmp_path / "x"), "images": "photos", "split_file": file.name}
    test = open_split(source, "test")
    assert test.class_names("label") == ("apse/indoor", ".22")
    assert test.class_names("image") is None
    assert test.values("label") == [1, 0]
    assert numbers(test) == [2, 0]
    train = open_split(source)
    assert train.class_names("label") == ("apse/indoor", ".22")
    assert numbers(train) == [1]
    assert "Did you mean 'val'?" in refusal(source, "valid")
    for change, message in (
        ({"train": [["b/1.png", 0, ".22"]]}, "class 0 is called '.22' and 'apse/indoor'"),
        ({"train": [["b/1.png", 3, "x"]]}, "there is no image of class 2"),
        ({"train": [["b/1.png", "1", "x"]]}, "train, entry 1: must be the path of an image, the"),
        ({"train": [["b/9.png", 1, ".22"]]}, "b/9.png' is not there."),
        ({"train": 7}, "must hold lists of images by split"),
    ):
        write_json(file, splits | change)
        said = refusal(source, "train", "image")
        assert message in said
        assert said.startswith(WHAT)


def test_folders_of_classes_are_tables(tmp_path: Path) -> None:
    names = [
        *("train/.22/0.png", "train/apse/indoor/1.png", "train/apse/outdoor/2.png"),
        *("train/big_cat/3.png", "train/big_cat/more/4.png", "train/.hidden/5.png"),
        *("validation/big_cat/6.png", "validation/.22/7.png", "validation/dog/8.png"),
    ]
    source = {"path": images(tmp_path / "x", names)}
    train, valid = open_split(source), open_split(source, "validation")
    everything = (".22", "apse/indoor", "apse/outdoor", "big_cat", "dog")
    assert train.class_names("label") == valid.class_names("label") == everything
    assert (train.values("label"), numbers(train)) == ([0, 1, 2, 3, 3], [0, 1, 2, 3, 4])
    assert (valid.values("label"), numbers(valid)) == ([0, 3, 4], [7, 6, 8])
    assert "'train/apse/indoor/1.png'" in train.place(1)
    both = open_split(source, "validation+train")
    assert numbers(both, rows=[0, 3]) == [7, 0]
    message = refusal(source, "validations")
    assert message.startswith(f"{WHAT}: Unknown split of '{tmp_path / 'x'}' 'validations'; all")
    assert message.endswith("Did you mean 'validation'?")


def test_folders_of_images_with_a_table_are_tables(tmp_path: Path) -> None:
    path = images(tmp_path / "x", ["test/0.png", "test/1.png", "train/2.png"])
    for split, lines in {"test": ["1.png,b", "0.png,a"], "train": ["2.png,c"]}.items():
        text = "\n".join(["file_name,caption", *lines])
        (tmp_path / "x" / split / "metadata.csv").write_text(text)
    table = open_split({"path": path}, "test")
    assert table.columns == ("image", "caption")
    assert table.values("caption") == ["b", "a"]
    assert numbers(table) == [1, 0]
    assert "metadata.csv', line 2" in table.place(0)
    assert "column 'caption' holds no images" in refusal({"path": path}, "test", "caption")

    def identity() -> str:
        return identify(TaskSource.model_validate({"path": path}), WHAT)

    before = identity()
    (tmp_path / "x" / "test" / "metadata.csv").write_text("file_name,caption\n1.png,b\n0.png,z\n")
    assert identity() != before


def test_a_card_may_tell_of_folders_of_images(tmp_path: Path) -> None:
    path = images(tmp_path / "x", ["train/cat/0.png", "train/dog/1.png", "test/cat/2.png"])
    files = "\n".join(f"  - split: {s}\n    path: {s}/**" for s in ("train", "test"))
    (tmp_path / "x" / "README.md").write_text(f"---\nconfigs:\n- data_files:\n{files}\n---\n")
    on_the_hub(tmp_path / "hub", "me/photos", tmp_path / "x", COMMIT, "main")
    for source in ({"path": path}, {"path": "me/photos"}):
        assert numbers(open_split(source)) == [0, 1]
        assert numbers(open_split(source, "test")) == [2]
        assert open_split(source, "test").class_names("label") == ("cat", "dog")


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for name in ("train.zip", "test.parquet", "test.json"):
        (tmp_path / "x" / name).write_bytes(b"x")
    card = "---\nconfigs:\n- data_files: '*.zip'\n---\n"
    (tmp_path / "x" / "README.md").write_text(card)
    assert refusal({"path": str(tmp_path / "x")}) == (
        f"{WHAT}: '{tmp_path / 'x'}': the files of split 'train', such as 'train.zip', must be of "
        "one kind, .parquet, .tar, .arrow, .json, .jsonl, .csv, got .zip."
    )
    source = {"path": str(tmp_path / "x"), "files": {"test": "test.*", "train": "no*"}}
    assert "of one kind, .parquet, .tar, .arrow, .json, .jsonl, .csv, got .json, .parq" in refusal(
        source, "test"
    )
    assert "there are no files 'no*' for split 'train'." in refusal(source)
