"""What the splits to train and to test on may have apart, and how questions and captions stand."""

from pathlib import Path
from typing import Any

import pytest

from tests.sweep.source_tasks import benchmark, identified, refusal, shown_in, task_of, write
from tests.sweep.sources import isolate, picture, write_json

ASK = {"ask": ["Which?", "What?"], "answer": ["a", "b"]}
WORD = "{} Answer in one word."


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def test_a_question_can_be_put_around_those_of_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "x", train=ASK, test=ASK)
    source = {"path": path, "kind": "answers", "columns": {"question": "ask"}}
    plain, framed = task_of(source), task_of(source | {"question": WORD})
    assert plain.train.questions == ("Which?", "What?")
    assert framed.train.questions == framed.test.questions
    assert framed.test.questions == ("Which? Answer in one word.", "What? Answer in one word.")
    assert identified(source) != identified(source | {"question": WORD})
    message = refusal({"path": path, "kind": "answers", "question": WORD})
    assert "columns.question does not say where" in message
    without = {"test_columns": {"answers": "answer"}}
    message = refusal(source | {"question": WORD} | without)
    assert "test_columns.question does not say where" in message


def test_the_split_to_test_on_may_have_other_columns(tmp_path: Path) -> None:
    other = {"text": ["Who?", "Where?"], "said": ["c", "d"]}
    path = write(tmp_path / "x", train=ASK, test=other)
    columns = {"question": "ask", "answers": "answer"}
    source: dict[str, Any] = {"path": path, "kind": "answers", "columns": columns}
    assert "'ask'" in refusal(source)
    task = task_of(source | {"test_columns": {"question": "text", "answers": "said"}})
    assert task.train.questions == ("Which?", "What?")
    assert task.test.questions == ("Who?", "Where?")
    assert task.test.texts == (("c",), ("d",))
    assert shown_in(task.test) == [2, 3]
    message = refusal(source | {"test_columns": {"captions": "said"}})
    assert "test_columns.captions is for tasks of kind 'pairs'" in message
    message = refusal(source | {"test_columns": columns, "split": 0.5})
    assert "one set of columns" in message


def test_labels_may_stand_in_another_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x", train={"label": [0, 1, 2]}, test={"class": [".22", "sea_lion", ".22"]}
    )
    task = task_of({"path": path, "test_columns": {"label": "class"}})
    assert [task.choices[label] for label in task.test.labels] == [".22", "sea lion", ".22"]
    assert [task.choices[label] for label in task.train.labels] == [
        "sea lion",
        "apse/indoor",
        ".22",
    ]


def test_captions_may_stand_one_per_line(tmp_path: Path) -> None:
    texts = {"txt": ["a cat\na pet \n", "a dog"]}
    path = write(tmp_path / "x", train=texts, test=texts)
    task = task_of({"path": path, "kind": "pairs", "columns": {"captions": "txt"}})
    assert task.train.texts == (("a cat",), ("a pet",), ("a dog",))
    assert task.train.shown.tolist() == [0, 0, 1]


COCO = {
    "images": [
        {"id": 7, "file_name": "without_captions.png"},
        {"id": 5, "file_name": "5.png"},
        {"id": 9, "file_name": "9.png"},
    ],
    "annotations": [
        {"image_id": 9, "caption": "nine"},
        {"image_id": 5, "caption": "five "},
        {"image_id": 5, "caption": "V"},
    ],
}


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    folder = tmp_path / "x"
    for inside in ("train2017", "val2017"):
        (folder / inside).mkdir(parents=True)
        for number in (5, 9):
            shade = number + 100 * (inside == "val2017")
            picture(shade).save(folder / inside / f"{number}.png")
    write_json(folder / "captions_train.json", COCO)
    (folder / "captions_val.json").write_text(str(COCO).replace("'", '"').replace(",", ",\n"))
    return folder


SOURCE = {
    "files": {"train": "captions_train.json", "val": "captions_val.json"},
    "images": {"train": "train2017", "val": "val2017"},
    "test": "val",
    "kind": "pairs",
}


def test_captions_in_the_format_of_coco(captioned: Path) -> None:
    """In one line or in many; images of every split in a folder of their own."""
    task = task_of({"path": str(captioned)} | SOURCE)
    assert task.train.texts == task.test.texts == (("five",), ("V",), ("nine",))
    assert shown_in(task.train) == [5, 5, 9]
    assert shown_in(task.test) == [105, 105, 109]
    answers = {"kind": "answers", "columns": {"answers": "caption"}, "score": "cider"}
    assert task_of({"path": str(captioned)} | SOURCE | answers).test.texts == (
        ("five", "V"),
        ("nine",),
    )


def test_the_images_of_a_split_are_part_of_what_identifies_it(captioned: Path) -> None:
    source = {"path": str(captioned)} | SOURCE
    before = identified(source)
    picture(7).save(captioned / "val2017" / "5.png")
    after = identified(source)
    assert after.train == before.train
    assert after.test != before.test


def test_what_is_wrong_with_captions_of_coco_is_said(captioned: Path) -> None:
    source = {"path": str(captioned)} | SOURCE
    message = refusal(source | {"images": {"train": "train2017", "vall": "val2017"}})
    assert "images: Unknown split 'vall'; allowed: train, val. Did you mean 'val'?" in message
    for key, broken, problem in (
        ("annotations", [{"image_id": 5, "bbox": [0, 0, 1, 1]}], "annotation 1: has no 'caption'"),
        ("annotations", [{"image_id": 5, "caption": 5}], "'caption' must be a text, got 5"),
        ("images", [{"id": 5}], "image 1: has no 'file_name'"),
    ):
        write_json(captioned / "captions_val.json", COCO | {key: broken})
        assert problem in refusal(source)


def test_rows_of_json_may_stand_in_one_object_or_in_lines(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for number in range(2):
        picture(number).save(tmp_path / "x" / f"{number}.png")
    row = '{{"image": "{0}.png",\n"answer": "a{0}"}}'
    (tmp_path / "x" / "train.jsonl").write_text("\n" + row.format(0))
    lines = [row.format(number).replace("\n", "") for number in range(2)]
    (tmp_path / "x" / "test.jsonl").write_text("\n\n".join(lines) + "\n")
    task = task_of({"path": str(tmp_path / "x"), "kind": "answers"})
    assert task.train.texts == (("a0",),)
    assert task.test.texts == (("a0",), ("a1",))
    assert (
        "1 training and 2 test samples"
        in benchmark({"path": str(tmp_path / "x"), "kind": "answers"}).found()[0]
    )
