"""Tasks of data sets: classes, their names, which rows count, splits, draws and cuts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweep.tasks.sources.datasets import Datasets
from sweep.tasks.sources.source import Columns, Cut, TaskSource
from tests.sweep.source_tasks import benchmark, refusal, shown_in, task_of, write
from tests.sweep.sources import isolate

LABELS = {
    "train": {"label": [0, 1, 2, 0, 1, 2], "style": ["photo", "paint"] * 3},
    "test": {"label": [2, 1, 0], "style": ["photo", "paint", "photo"]},
}
MANY = 5
"""Classes of `many`."""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return write(tmp_path / "data", **LABELS)


@pytest.fixture
def many(tmp_path: Path) -> str:
    """40 rows of which every fifth is of the same class, named c0 to c4, in one split."""
    labels = [f"c{i % MANY}" for i in range(40)]
    return write(tmp_path / "many", train={"label": labels, "number": list(range(40))})


def test_labels_with_names_are_classes_of_a_task(path: str) -> None:
    task = task_of({"path": path})
    assert task.choices == ("sea lion", "apse/indoor", ".22")
    assert task.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert shown_in(task.train) == [0, 1, 2, 3, 4, 5]
    assert task.test.labels.tolist() == [2, 1, 0]
    assert shown_in(task.test) == [6, 7, 8]
    assert (task.kind, task.score, task.question) == (
        "choices",
        "accuracy",
        "What is in the image?",
    )
    assert task.templates == ("a photo of a {}.",)
    assert task.train.texts is task.train.questions is None


def test_names_in_a_column_of_text_are_sorted_classes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x",
        train={"label": ["tiger_cat", ".22", "apse/indoor"]},
        test={"label": ["tiger_cat", "apse/indoor", ".22"]},
    )
    task = task_of({"path": path})
    assert task.choices == (".22", "apse/indoor", "tiger cat")
    assert task.train.labels.tolist() == [2, 0, 1]
    assert task.test.labels.tolist() == [2, 1, 0]


def test_classes_name_numbers_that_have_no_names_letter_by_letter(tmp_path: Path) -> None:
    path = write(tmp_path / "x", train={"y": [2, 0, 1]}, test={"y": [1, 1, 2]})
    source = {"path": path, "columns": {"label": "y"}, "classes": ["a_b", "c", "d"]}
    task = task_of(source)
    assert task.choices == ("a_b", "c", "d")
    assert task.train.labels.tolist() == [2, 0, 1]
    assert "give the names as classes" in refusal({"path": path, "columns": {"label": "y"}})
    message = refusal(source | {"classes": ["a", "b"]})
    assert "split 'train', row 1: label 2 is none of the 2 classes" in message


@pytest.mark.parametrize("labels", [[True, False, True], [1.0, 0.0, 1.0]])
def test_truths_and_whole_numbers_are_numbers(tmp_path: Path, labels: list[Any]) -> None:
    path = write(tmp_path / "x", train={"y": labels}, test={"y": labels})
    task = task_of({"path": path, "columns": {"label": "y"}, "classes": ["no", "yes"]})
    assert task.choices == ("no", "yes")
    assert task.train.labels.tolist() == [1, 0, 1]


def test_numbers_as_text_are_numbers_where_classes_name_them(tmp_path: Path) -> None:
    path = write(tmp_path / "x", train={"label": ["1", "0"]}, test={"label": ["0", "1"]})
    task = task_of({"path": path, "classes": ["zero", "one"]})
    assert task.choices == ("zero", "one")
    assert task.train.labels.tolist() == [1, 0]
    assert task_of({"path": path}).choices == ("0", "1")
    assert task_of({"path": path, "classes": ["1", "0"]}).train.labels.tolist() == [0, 1]


def test_classes_say_which_are_used_and_in_which_order(path: str) -> None:
    task = task_of({"path": path, "classes": [".22", "sea_lion"]})
    assert task.choices == (".22", "sea lion")
    assert task.train.labels.tolist() == [1, 0, 1, 0]
    assert shown_in(task.train) == [0, 2, 3, 5]
    assert shown_in(task.test) == [6, 8]


def test_rename_says_what_prompts_call_a_class(path: str) -> None:
    rename = {"sea_lion": "seal_ion", ".22": "rifle"}
    assert task_of({"path": path, "rename": rename}).choices == ("seal_ion", "apse/indoor", "rifle")
    assert "Did you mean 'sea_lion'?" in refusal({"path": path, "rename": {"sea lion": "seal"}})
    message = refusal({"path": path, "rename": {".22": "sea lion"}})
    assert "'sea_lion' and '.22' would both be called 'sea lion'" in message
    assert "no name in prompts" in refusal({"path": path, "rename": {".22": " "}})


def test_names_that_are_renamed_may_be_those_of_other_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x",
        train={"label": ["a", "b", "c"], "part": [1, 1, 2]},
        test={"label": ["a", "b", "c"], "part": [1, 1, 2]},
    )
    source = {"path": path, "where": {"part": 1}, "rename": {"a": "ant", "c": "cow"}}
    assert task_of(source).choices == ("ant", "b")


def test_of_several_labels_the_largest_counts(tmp_path: Path) -> None:
    objects = {
        "label": [["cat", "dog"], ["dog"], [], ["cat", "dog", "cow"]],
        "area": [[3.0, 9.0], [1.0], [], [5.0, 2.0, 4.0]],
    }
    path = write(tmp_path / "x", train=objects, test=objects)
    source = {"path": path, "columns": {"largest": "area"}}
    found = benchmark(source)
    task = found.load().tasks["a"]
    assert task.choices == ("cat", "dog")
    assert task.train.labels.tolist() == [1, 1, 0]
    assert shown_in(task.train) == [0, 1, 3]
    assert "Task 'a': left out 2 rows with an empty list in 'label'." in found.warnings()
    assert "row 1 has 2 labels in 'label'; columns.largest says" in refusal({"path": path})
    for column in ("image", "label"):
        message = refusal({"path": path, "columns": {"largest": column}})
        assert "holds images" in message or "row 1: columns.largest needs" in message


def test_a_list_of_one_label_is_that_label(tmp_path: Path) -> None:
    path = write(tmp_path / "x", train={"label": [["a"], ["b"]]}, test={"label": [["b"], ["a"]]})
    assert task_of({"path": path}).train.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("where", "train", "test"),
    [
        ({"style": "photo"}, [0, 2, 4], [6, 8]),
        ({"label": "sea_lion", "style": ["photo", "paint"]}, [0, 3], [8]),
        ({"label": 0}, [0, 3], [8]),
        ({"label": [0, ".22"]}, [0, 2, 3, 5], [6, 8]),
    ],
)
def test_where_keeps_rows_with_values(
    path: str, where: dict[str, Any], train: list[int], test: list[int]
) -> None:
    found = task_of(
        {"path": path, "where": where, "kind": "answers", "columns": {"answers": "style"}}
    )
    assert shown_in(found.train) == train
    assert shown_in(found.test) == test


def test_where_of_a_list_wants_one_of_its_values(tmp_path: Path) -> None:
    rows = {"label": ["a", "b", "a"], "tags": [["x"], ["x", "y"], ["y"]]}
    path = write(tmp_path / "x", train=rows, test=rows)
    assert shown_in(task_of({"path": path, "where": {"tags": "x"}}).train) == [0, 1]


def test_where_knows_truths_and_whole_numbers(tmp_path: Path) -> None:
    rows = {"label": ["a", "b", "a", "b"], "good": [True, True, False, True], "x": [1.0, 2.0] * 2}
    path = write(tmp_path / "x", train=rows, test=rows)
    assert shown_in(task_of({"path": path, "where": {"good": True}}).train) == [0, 1, 3]
    message = refusal({"path": path, "where": {"x": 1}})
    assert (
        "there are no training images of class 'b'" in message or "two or more classes" in message
    )


def test_values_and_columns_that_are_not_there_are_refused(path: str) -> None:
    assert "Did you mean 'paint'?" in refusal({"path": path, "where": {"style": ["photo", "pain"]}})
    assert "Did you mean 'style'?" in refusal({"path": path, "where": {"styles": "photo"}})
    assert "Did you mean 'label'?" in refusal({"path": path, "columns": {"label": "labels"}})
    assert "Did you mean 'image'?" in refusal({"path": path, "columns": {"image": "images"}})
    assert "Did you mean '.22'?" in refusal({"path": path, "classes": [".2", "sea_lion"]})
    assert "the image" in refusal({"path": path, "columns": {"image": "style"}})
    assert "column 'label' holds no images" in refusal(
        {"path": path, "columns": {"image": "label"}}
    )


def test_a_split_is_that_of_random_split(many: str) -> None:
    source = {"path": many, "split": 0.8, "split_seed": 7}
    generator = torch.Generator().manual_seed(7)
    train, test = torch.utils.data.random_split(range(40), [32, 8], generator=generator)
    task = task_of(source)
    assert shown_in(task.train) == sorted(train)
    assert shown_in(task.test) == sorted(test)
    assert shown_in(task_of(source | {"split_seed": 8}).test) != sorted(test)
    assert len(task_of(source | {"split": 0.5}).train) == 20
    default = torch.Generator().manual_seed(42)
    _, test = torch.utils.data.random_split(range(40), [32, 8], generator=default)
    assert shown_in(task_of({"path": many, "split": 0.8}).test) == sorted(test)


def test_a_split_is_of_the_rows_that_are_used(many: str) -> None:
    """As torchvision's Caltech101 has no background, and is split without it."""
    source = {"path": many, "split": 0.8, "classes": ["c3", "c1"]}
    rows = [row for row in range(40) if row % MANY in (1, 3)]
    generator = torch.Generator().manual_seed(42)
    train, _ = torch.utils.data.random_split(rows, [12, 4], generator=generator)
    assert shown_in(task_of(source).train) == sorted(train)


def test_a_split_in_two_uses_no_other(path: str) -> None:
    assert len(task_of({"path": path, "split": 0.5, "train": "train+test"}).test) == 5
    assert "test: 'dev' is not used" in refusal({"path": path, "split": 0.5, "test": "dev"})
    assert "is null" in refusal({"path": path, "split": 0.5, "train": None})


def test_shots_are_drawn_of_every_class(many: str) -> None:
    source = {"path": many, "split": 0.8}
    whole = shown_in(task_of(source).train)
    few = shown_in(task_of(source | {"shots": 3}).train)
    assert [row % MANY for row in few].count(2) == 3
    assert len(few) == 3 * MANY
    assert few == sorted(few)
    assert set(few) < set(whole)
    assert set(shown_in(task_of(source | {"shots": 2}).train)) < set(few)
    assert shown_in(task_of(source | {"shots": 3, "seed": 1}).train) != few
    assert (
        task_of(source | {"shots": 1000}).train.labels.tolist()
        == task_of(source).train.labels.tolist()
    )
    assert shown_in(task_of(source | {"shots": 3}).test) == shown_in(task_of(source).test)


def test_shots_of_a_class_do_not_depend_on_other_classes(many: str) -> None:
    source = {"path": many, "test": "train", "shots": 2}
    of_all = shown_in(task_of(source).train)
    of_two = shown_in(task_of(source | {"classes": ["c1", "c4"]}).train)
    assert of_two == [row for row in of_all if row % MANY in (1, 4)]


def test_a_subset_is_drawn_of_all(many: str) -> None:
    source = {"path": many, "test": "train"}
    few = shown_in(task_of(source | {"subset": 12}).train)
    assert len(few) == 12
    assert set(shown_in(task_of(source | {"subset": 6}).train)) < set(few)
    assert shown_in(task_of(source | {"subset": 12, "seed": 3}).train) != few
    assert len(shown_in(task_of(source | {"shots": 3, "subset": 12}).train)) == 12


def test_classes_are_cut_into_tasks_in_a_seeded_order(tmp_path: Path) -> None:
    names = [f"c{i:02}" for i in range(20)]
    path = write(tmp_path / "x", train={"label": names * 2}, test={"label": names})
    found = benchmark({"path": path, "cut": {"tasks": 10, "seed": 1993}})
    order = np.random.RandomState(1993).permutation(20)
    assert found.task_names() == tuple(f"a-{i:02}" for i in range(1, 11))
    tasks = found.load().tasks
    assert tuple(tasks) == found.task_names()
    for i, task in enumerate(tasks.values()):
        own = order[2 * i : 2 * i + 2]
        assert task.choices == tuple(names[label] for label in own)
        assert [own[label] for label in task.train.labels] == [n % 20 for n in shown_in(task.train)]
        assert [own[label] for label in task.test.labels] == [n % 20 for n in shown_in(task.test)]
        assert len(task.train) == 4
    plain = benchmark({"path": path, "cut": {"tasks": 4}})
    assert plain.task_names() == ("a-1", "a-2", "a-3", "a-4")
    assert plain.load().tasks["a-2"].choices == tuple(names[5:10])
    assert "allowed: 2, 4, 5, 10" in refusal({"path": path, "cut": {"tasks": 3}})


def test_the_order_of_classes_that_is_known_for_cifar100(tmp_path: Path) -> None:
    """Published by PyCIL as the classes of CIFAR-100 in the order of seed 1993."""
    names = [f"c{i:02}" for i in range(100)]
    path = write(tmp_path / "x", train={"label": names}, test={"label": names})
    found = benchmark({"path": path, "cut": {"tasks": 10, "seed": 1993}}).load().tasks["a-01"]
    assert [int(choice[1:]) for choice in found.choices] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76]


def test_a_column_cuts_a_data_set_into_tasks(path: str) -> None:
    found = benchmark({"path": path, "cut": {"column": "style"}})
    assert found.task_names() == ("a-paint", "a-photo")
    tasks = found.load().tasks
    assert shown_in(tasks["a-paint"].train) == [1, 3, 5]
    assert shown_in(tasks["a-paint"].test) == [7]
    assert shown_in(tasks["a-photo"].train) == [0, 2, 4]
    assert tasks["a-paint"].choices == tasks["a-photo"].choices
    message = refusal({"path": path, "where": {"label": 2}, "cut": {"column": "style"}})
    assert "task 'a-paint': there are no test rows" in message
    assert "Did you mean 'style'?" in refusal({"path": path, "cut": {"column": "stile"}})


def test_rows_without_a_value_are_in_no_task(tmp_path: Path) -> None:
    rows = {"label": ["a", "b", "a"], "part": ["x", "x", None]}
    path = write(tmp_path / "x", train=rows, test=rows)
    message = refusal({"path": path, "cut": {"column": "part"}})
    assert "split 'train', row 3: cut.column 'part' must hold one value, got None" in message


def test_tasks_of_a_column_have_their_own_classes(tmp_path: Path) -> None:
    rows = {"label": ["a", "c", "b", "d"] * 2, "part": [9, 10, 9, 10] * 2}
    path = write(tmp_path / "x", train=rows, test=rows)
    found = benchmark({"path": path, "cut": {"column": "part"}})
    assert found.task_names() == ("a-9", "a-10")
    tasks = found.load().tasks
    assert tasks["a-9"].choices == ("a", "b")
    assert tasks["a-10"].choices == ("c", "d")
    assert tasks["a-10"].train.labels.tolist() == [0, 1, 0, 1]
    assert shown_in(tasks["a-10"].train) == [1, 3, 5, 7]


def test_a_subset_is_of_every_task_of_a_cut(many: str) -> None:
    source = {"path": many, "test": "train", "subset": 6, "cut": {"column": "number"}}
    assert "two or more classes" in refusal(source)
    found = benchmark(
        {
            "path": many,
            "test": "train",
            "subset": 6,
            "classes": ["c0", "c1", "c2", "c3"],
            "cut": {"tasks": 2},
        }
    )
    assert [len(task.train) for task in found.load().tasks.values()] == [6, 6]


@pytest.mark.parametrize(
    "cut", [{}, {"tasks": 2, "column": "style"}, {"column": "style", "seed": 1}]
)
def test_a_cut_is_of_one_kind(path: str, cut: dict[str, Any]) -> None:
    assert refusal({"path": path, "cut": cut})


def test_rows_without_labels_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x", train={"label": ["a", "b"]}, test={"label": ["a", None]})
    assert "split 'test', row 2 has no label in 'label'" in refusal({"path": path})
    unlabelled = write(tmp_path / "y", train={"label": [0, 1, 2]}, test={"label": [0, -1, 1]})
    assert "row 2 has the label -1 in 'label', which is no class" in refusal({"path": unlabelled})


def test_classes_need_rows_to_train_on(tmp_path: Path) -> None:
    path = write(tmp_path / "x", train={"label": [0, 2]}, test={"label": [0, 1]})
    assert "no training images of class 'apse/indoor'; list" in refusal({"path": path})
    assert "two or more classes, got 1" in refusal({"path": path, "classes": [".22"]})
    message = refusal({"path": path, "classes": [".22", "sea_lion"], "where": {"label": [2]}})
    assert "there are no test rows that where, classes and cut leave" in message


def test_only_probes_need_nothing_to_train_on(path: str) -> None:
    assert "only probes" in refusal({"path": path, "train": None})
    found = Datasets.model_validate(
        {"tasks": {"a": {"path": path}}, "probes": {"b": {"path": path, "train": None}}}
    )
    loaded = found.load()
    assert tuple(loaded.tasks) == ("a",)
    assert shown_in(loaded.probes["b"].test) == [6, 7, 8]
    assert found.task_names() == ("a",)
    assert found.found() == (
        "Task 'a': 3 classes, 6 training and 3 test images.",
        "Probe 'b': 3 classes, 3 test images.",
    )


def test_a_benchmark_in_python_is_that_of_a_study(path: str) -> None:
    source = TaskSource(path=path, columns=Columns(label="label"), cut=Cut(column="style"))
    given = {"path": path, "columns": {"label": "label"}, "cut": {"column": "style"}}
    assert Datasets(tasks={"a": source}).tasks == benchmark(given).tasks


def test_a_study_that_is_written_down_is_the_same(path: str) -> None:
    pairs = {"path": path, "kind": "pairs", "columns": {"captions": "style"}}
    split = {"path": path, "split": 0.5, "train": "train+test"}
    for source in ({"path": path, "shots": 1}, pairs, split):
        found = benchmark(source)
        assert Datasets.model_validate(found.model_dump(mode="json")) == found


def test_names_of_tasks_are_theirs_alone(path: str) -> None:
    assert "2 tasks or probes are called 'a'" in refusal(
        {"path": path}, probes={"a": {"path": path}}
    )


def test_copies_are_used_instead_of_the_hub(tmp_path: Path) -> None:
    write(tmp_path / "copies" / "me" / "data", **LABELS)
    found = Datasets.model_validate(
        {
            "tasks": {"a": {"path": "me/data", "revision": "3ae0e4e"}},
            "root": str(tmp_path / "copies"),
        }
    )
    assert shown_in(found.load().tasks["a"].train) == [0, 1, 2, 3, 4, 5]
    assert "'me/data'" in refusal({"path": "me/data"})


def test_options_that_make_no_difference_are_refused(path: str) -> None:
    pairs = {"path": path, "kind": "pairs", "columns": {"captions": "style"}}
    assert "shots is for tasks with classes" in refusal(pairs | {"shots": 2})
    assert "classes is for tasks with classes" in refusal(pairs | {"classes": ["a", "b"]})
    assert "cut.tasks is for" in refusal(pairs | {"cut": {"tasks": 2}})
    assert "template is for tasks of kind 'choices'" in refusal(pairs | {"template": "{}"})
    assert "answer_tokens is for tasks of kind 'answers'" in refusal(
        {"path": path, "answer_tokens": 3}
    )
    assert "columns.captions is for tasks of kind 'pairs'" in refusal(
        {"path": path, "columns": {"captions": "style"}}
    )
    assert "Did you mean 'accuracy'?" in refusal({"path": path, "score": "acuracy"})
    assert "allowed: accuracy, class_accuracy" in refusal({"path": path, "score": "recall"})
    own = {"path": path, "columns": {"choices": "style"}}
    assert "'class_accuracy' is for tasks with classes" in refusal(
        own | {"score": "class_accuracy"}
    )
    assert "'.22' is given twice" in refusal({"path": path, "classes": [".22", ".22"]})
