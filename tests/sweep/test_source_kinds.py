"""Tasks of data sets that are no lists of classes: own choices, captions, answers, questions."""

from pathlib import Path
from typing import Any

import pytest

from tests.sweep.source_tasks import benchmark, refusal, shown_in, task_of, write
from tests.sweep.sources import isolate, picture, write_json


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def same(folder: Path, **columns: Any) -> str:
    """Writes a data set whose two splits hold the same texts."""
    return write(folder, train=columns, test=columns)


CHOICES = [["cat", "dog", "cow"], ["red", "blue"], ["B", "A", "C"]]
OWN = {"choices": "options", "question": "ask", "label": "answer"}
ASK = ["Which animal?", "Which colour?", "Which letter?"]


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        ["C", "A", "B"],
        ["(C)", "A.", "b"],
        ["2", "0", "1"],
        ["cow", "red", "A"],
    ],
)
def test_samples_may_have_choices_of_their_own(tmp_path: Path, labels: list[Any]) -> None:
    """Letters are those of places, although the last sample has a choice "B" in another place."""
    path = same(tmp_path / "x", options=CHOICES, ask=ASK, answer=labels)
    task = task_of({"path": path, "columns": OWN})
    assert task.choices == ()
    assert task.test.labels.tolist() == [2, 0, 1]
    assert task.test.texts == tuple(map(tuple, CHOICES))
    assert task.test.questions == tuple(ASK)
    assert task.form == ("choices", True, True)


def test_choices_may_have_a_column_each_and_some_may_be_empty(tmp_path: Path) -> None:
    path = same(
        tmp_path / "x",
        a0=["cat", "red"],
        a1=[None, "blue"],
        a2=["cow", ""],
        answer=[2, 1],
        n=[1, 2],
    )
    columns = {"choices": ["a0", "a1", "a2"], "label": "answer"}
    task = task_of({"path": path, "columns": columns, "question": "Which?"})
    assert task.test.texts == (("cat", "cow"), ("red", "blue"))
    assert task.test.labels.tolist() == [1, 1]
    assert task.question == "Which?"
    assert "must hold a list, got 'cat'" in refusal(
        {"path": path, "columns": {"choices": "a0", "label": "answer"}}
    )
    message = refusal({"path": path, "columns": {"choices": ["a1", "a2"], "label": "n"}})
    assert "row 2: label 2 in 'n' is none of the 1 choices" in message


def test_labels_that_are_no_choice_are_refused(tmp_path: Path) -> None:
    path = same(tmp_path / "x", options=CHOICES, ask=ASK, answer=["cow", "green", "A"])
    message = refusal({"path": path, "columns": OWN})
    assert "row 2: label 'green' in 'answer' is none of the 2 choices, such as 'red'" in message


def test_labels_with_names_are_numbers_of_choices(tmp_path: Path) -> None:
    path = same(tmp_path / "x", options=CHOICES, label=[2, 1, 0])
    task = task_of({"path": path, "columns": {"choices": "options"}})
    assert task.test.labels.tolist() == [2, 1, 0]


def test_pairs_have_one_caption_or_several(tmp_path: Path) -> None:
    captions = [["a cat", "a pet"], ["a dog"]]
    path = write(tmp_path / "x", train={"said": captions}, test={"said": captions[::-1]})
    task = task_of({"path": path, "kind": "pairs", "columns": {"captions": "said"}})
    assert task.kind == "pairs"
    assert task.score == "recall"
    assert task.train.texts == (("a cat",), ("a pet",), ("a dog",))
    assert shown_in(task.train) == [0, 0, 1]
    assert len(task.train.pictures) == 2
    assert task.test.texts == (("a dog",), ("a cat",), ("a pet",))
    assert shown_in(task.test) == [2, 3, 3]
    assert task.choices == ()
    assert task.question == "Describe the image."
    single = same(tmp_path / "y", caption=["a cat", "a dog"])
    assert task_of({"path": single, "kind": "pairs"}).train.texts == (("a cat",), ("a dog",))


def test_rows_of_one_image_share_its_picture(tmp_path: Path) -> None:
    rows = {"caption": ["a cat", "a dog", "a pet"], "image_id": [7, 9, 7]}
    path = same(tmp_path / "x", **rows)
    task = task_of({"path": path, "kind": "pairs"})
    assert task.train.texts == (("a cat",), ("a pet",), ("a dog",))
    assert shown_in(task.train) == [0, 0, 1]
    assert len(task.train.pictures) == 2
    answers = task_of({"path": path, "kind": "answers", "columns": {"answers": "caption"}})
    assert answers.train.texts == (("a cat",), ("a dog",), ("a pet",))
    assert shown_in(answers.train) == [0, 1, 0]
    joined = {"path": path, "kind": "pairs", "train": "train+test"}
    assert shown_in(task_of(joined).train) == [0, 1, 2, 3, 4, 5]
    named = joined | {"columns": {"image_id": "image_id"}}
    assert len(task_of(named).train.pictures) == 2
    assert "Did you mean 'image_id'?" in refusal(
        {"path": path, "kind": "pairs", "columns": {"image_id": "imageid"}}
    )


def test_rows_without_an_image_id_show_their_own(tmp_path: Path) -> None:
    path = same(tmp_path / "x", caption=["a", "b", "c", "d"], image_id=["", None, "", None])
    assert shown_in(task_of({"path": path, "kind": "pairs"}).train) == [0, 1, 2, 3]


def test_rows_that_name_the_same_file_share_its_picture(tmp_path: Path) -> None:
    for number in (3, 4):
        picture(number).save(tmp_path / f"{number}.png")
    rows = [
        {"image": f"{number}.png", "question": f"What {ask}?", "answer": "yes"}
        for number, ask in ((3, "a"), (4, "b"), (3, "c"))
    ]
    write_json(tmp_path / "train.json", rows)
    write_json(tmp_path / "test.json", rows[:1])
    source = {"path": str(tmp_path), "kind": "answers", "columns": {"question": "question"}}
    found = benchmark(source)
    task = found.load().tasks["a"]
    assert shown_in(task.train) == [3, 4, 3]
    assert len(task.train.pictures) == 2
    assert task.train.questions == ("What a?", "What b?", "What c?")
    assert found.found() == ("Task 'a': 3 training and 1 test samples of 2 and 1 images.",)
    assert found.warnings() == (
        "Task 'a': 1 image in both train and test, so its score is too high.",
    )


@pytest.mark.parametrize(
    ("answers", "texts"),
    [
        (["yes", "no"], (("yes",), ("no",))),
        ([["yes", "yep"], ["no"]], (("yes", "yep"), ("no",))),
        (
            [[{"answer": "yes", "answer_id": 1}], [{"answer": "no", "answer_id": 1}]],
            (("yes",), ("no",)),
        ),
        ([3, 10], (("3",), ("10",))),
        ([["yes", ""], ["no", " "]], (("yes",), ("no",))),
    ],
)
def test_answers_are_texts_or_lists_of_them(tmp_path: Path, answers: Any, texts: Any) -> None:
    path = same(tmp_path / "x", answer=answers, ask=["Is it?", "Was it?"])
    source = {"path": path, "kind": "answers", "columns": {"question": "ask"}, "answer_tokens": 5}
    task = task_of(source)
    assert task.train.texts == task.test.texts == texts
    assert task.train.questions == ("Is it?", "Was it?")
    assert (task.kind, task.score, task.answer_tokens) == ("answers", "exact_match", 5)
    assert task_of(source | {"score": "vqa_accuracy"}).score == "vqa_accuracy"


def test_answers_may_be_entries_of_structures(tmp_path: Path) -> None:
    path = same(tmp_path / "x", said=[{"text": ["yes", "yep"]}, {"text": ["no"]}])
    source = {"path": path, "kind": "answers", "columns": {"answers": "said.text"}}
    assert task_of(source).train.texts == (("yes", "yep"), ("no",))
    assert task_of(source).question == "Describe the image."
    assert task_of(source | {"question": "Is it?"}).question == "Is it?"


@pytest.mark.parametrize(
    ("column", "value", "kind", "reason"),
    [
        ("caption", " ", "pairs", "row 2 has no caption in 'caption'."),
        ("caption", None, "pairs", "row 2 has no caption in 'caption'."),
        ("answer", "", "answers", "row 2 has no answer in 'answer'."),
    ],
)
def test_empty_texts_are_refused(
    tmp_path: Path, column: str, value: Any, kind: str, reason: str
) -> None:
    path = same(tmp_path / "x", **{column: ["said", value]})
    assert reason in refusal({"path": path, "kind": kind})


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = same(tmp_path / "x", answer=[{"a": 1}], caption=[[]], ask=[""])
    assert "row 1 has no answer in 'answer', but {'a': 1}." in refusal(
        {"path": path, "kind": "answers"}
    )
    assert "row 1 has no caption" in refusal({"path": path, "kind": "pairs"})
    assert "row 1 has no question in 'ask'." in refusal(
        {"path": path, "kind": "answers", "columns": {"question": "ask", "answers": "answer.a"}}
    )


def test_a_subset_of_pairs_counts_images(tmp_path: Path) -> None:
    path = same(tmp_path / "x", caption=[["a", "b"], ["c", "d"], ["e", "f"]])
    task = task_of({"path": path, "kind": "pairs", "subset": 2})
    assert len(task.train.pictures) == 2
    assert len(task.train) == 4


def test_what_there_is_is_said_by_kind(tmp_path: Path) -> None:
    path = same(
        tmp_path / "x",
        options=CHOICES[:2],
        label=[0, 1],
        caption=[["a", "b"], ["c"]],
        answer=["x", "y"],
    )
    own = {"path": path, "columns": {"choices": "options"}}
    pairs = {"path": path, "kind": "pairs"}
    answers = {"path": path, "kind": "answers", "subset": 1}
    found = benchmark(own, b=pairs, c=answers)
    assert found.found()[:2] == (
        "Task 'a': choices of each sample's own, 2 training and 2 test images.",
        "Task 'b': 3 training and 3 test captions of 2 and 2 images.",
    )
    said = "Task 'c': 1 training and 2 test samples. The split is "
    assert found.found()[2].startswith(said)
