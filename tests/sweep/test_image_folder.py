"""Folders of images as a benchmark: what is read, and what is refused in one sentence."""

import os
import pickle
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from sweep.errors import InputError
from sweep.tasks.image_folder import ImageFolder

COLOURS = {"red": (255, 0, 0), "dark_blue": (0, 0, 120), "green": (0, 200, 0)}


def write(folder: Path, colours: tuple[str, ...], count: int, suffix: str = ".png") -> None:
    for colour in colours:
        (folder / colour).mkdir(parents=True)
        for i in range(count):
            picture = Image.new("RGB", (20 + i, 30), COLOURS[colour])
            picture.save(folder / colour / f"{i}{suffix}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "walls" / "train", ("red", "dark_blue"), 3)
    write(tmp_path / "walls" / "test", ("red", "dark_blue"), 2, ".JPG")
    write(tmp_path / "leaves" / "train", ("red", "green"), 2)
    write(tmp_path / "leaves" / "test", ("red", "green"), 1)
    return tmp_path


def test_every_folder_is_a_task_and_every_sub_folder_a_class(path: Path) -> None:
    (path / ".cache").mkdir()
    config = ImageFolder(path=path)
    benchmark = config.load()
    assert config.task_names() == tuple(benchmark.tasks) == ("leaves", "walls")
    walls = benchmark.tasks["walls"]
    assert walls.choices == ("dark blue", "red")
    assert walls.prompts() == ["a photo of a dark blue.", "a photo of a red."]
    assert walls.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert walls.test.labels.dtype == np.int64


def test_images_are_those_of_the_labels_in_the_order_asked_for(path: Path) -> None:
    train = ImageFolder(path=path).load().tasks["walls"].train
    pictures = train.images(np.array([5, 0, 1]))
    assert [picture.getpixel((0, 0)) for picture in pictures] == [
        COLOURS["red"],
        COLOURS["dark_blue"],
        COLOURS["dark_blue"],
    ]
    assert [picture.size for picture in pictures] == [(22, 30), (20, 30), (21, 30)]


def test_reading_leaves_no_files_and_prints_nothing(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.rglob("*"))
    ImageFolder(path=path).load().tasks["walls"].train.images(np.arange(6))
    assert sorted(path.rglob("*")) == before
    assert capfd.readouterr() == ("", "")


def test_tasks_keep_the_order_given(path: Path) -> None:
    config = ImageFolder(path=path, tasks=("walls", "leaves"))
    assert tuple(config.load().tasks) == config.task_names() == ("walls", "leaves")


def test_probes_are_no_tasks_and_need_no_training_images(path: Path) -> None:
    shutil.rmtree(path / "leaves" / "train")
    benchmark = ImageFolder(path=path, probes=("leaves",)).load()
    assert tuple(benchmark.tasks) == ("walls",)
    assert benchmark.probes["leaves"].test.labels.tolist() == [0, 1]


def test_templates_may_be_many_and_of_one_task(path: Path) -> None:
    pair = ("a {} wall.", "{}")
    tasks = ImageFolder(path=path, template={"walls": pair}).load().tasks
    assert tasks["walls"].templates == pair
    assert tasks["leaves"].templates == ("a photo of a {}.",)
    assert ImageFolder(path=path, template=pair).load().tasks["leaves"].templates == pair


def test_the_same_content_elsewhere_has_the_same_fingerprint(path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(path, tmp_path.with_name("copy"))
    assert ImageFolder(path=copy).fingerprint() == ImageFolder(path=path).fingerprint()


@pytest.mark.parametrize(
    "options",
    [
        {"template": "{}"},
        {"question": "Which colour?"},
        {"tasks": ("walls",)},
        {"probes": ("leaves",)},
        {"template": {"walls": "{}"}},
    ],
)
def test_other_options_have_another_fingerprint(path: Path, options: dict[str, Any]) -> None:
    assert ImageFolder(path=path, **options).fingerprint() != ImageFolder(path=path).fingerprint()


def test_one_other_pixel_is_another_fingerprint(path: Path) -> None:
    before = ImageFolder(path=path).fingerprint()
    file = path / "walls" / "train" / "red" / "0.png"
    with Image.open(file) as picture:
        picture.putpixel((3, 3), (255, 0, 1))
        picture.save(file)
    assert ImageFolder(path=path).fingerprint() != before


def test_images_left_out_do_not_count(path: Path) -> None:
    before = ImageFolder(path=path, tasks=("walls",)).fingerprint()
    shutil.rmtree(path / "leaves")
    assert ImageFolder(path=path, tasks=("walls",)).fingerprint() == before


def damage(change: str, path: Path) -> None:
    walls, test = path / "walls", path / "walls" / "test"
    match change:
        case "no test":
            shutil.rmtree(test)
        case "other classes":
            (test / "red").rename(test / "green")
        case "empty class":
            shutil.rmtree(test / "red")
            (test / "red").mkdir()
        case "one class":
            shutil.rmtree(test / "red")
            shutil.rmtree(walls / "train" / "red")
        case "no image":
            (test / "red" / "note.png").write_text("not an image")
        case "truncated":
            file = test / "red" / "0.JPG"
            file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no test", r"task 'walls': there is no folder '.*walls.test'"),
        ("other classes", "task 'walls': class 'green' is not in both train and test"),
        ("empty class", r"task 'walls': no images \(.png, .*\) in '.*test.red'"),
        ("one class", "task 'walls' needs two or more classes, got 1"),
        ("no image", r"'.*note.png' cannot be read as an image"),
        ("truncated", r"'.*0.JPG' cannot be read as an image"),
    ],
)
def test_folders_that_cannot_be_used_are_named(path: Path, change: str, message: str) -> None:
    damage(change, path)
    with pytest.raises(InputError, match=message) as error:
        ImageFolder(path=path).check()
    assert "\n" not in str(error.value)


def test_a_missing_or_empty_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere' is not a folder"):
        ImageFolder(path=tmp_path / "nowhere").task_names()
    with pytest.raises(InputError, match="holds no folders"):
        ImageFolder(path=tmp_path).task_names()


@pytest.mark.parametrize(
    "options", [{"tasks": ("wall",)}, {"probes": ("wall",)}, {"template": {"wall": "{}"}}]
)
def test_unknown_tasks_get_the_nearest_name(path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"Unknown task 'wall'.*Did you mean 'walls'"):
        ImageFolder(path=path, **options).task_names()


@pytest.mark.parametrize("template", ["a photo", ("{}", "a photo"), {"walls": "{0}"}, ()])
def test_templates_need_a_place_for_the_class(path: Path, template: Any) -> None:
    with pytest.raises(ValidationError, match="template"):
        ImageFolder(path=path, template=template)


def test_relative_paths_mean_the_folder_the_study_was_started_in(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    config = ImageFolder(path=Path(path.name))
    monkeypatch.chdir("/")
    assert config.task_names() == ("leaves", "walls")


def test_a_task_cannot_be_a_probe_too(path: Path) -> None:
    with pytest.raises(ValidationError, match="'walls' is given twice"):
        ImageFolder(path=path, tasks=("walls",), probes=("walls",))


def changed(path: Path, change: Callable[[], object]) -> set[str]:
    """Whose fingerprints a change of the folder changes, as "task part"."""
    before = ImageFolder(path=path).fingerprints()
    change()
    after = ImageFolder(path=path).fingerprints()
    parts = [(name, part) for name in after for part in ("train", "test")]
    return {
        f"{name} {part}"
        for name, part in parts
        if name not in before or getattr(before[name], part) != getattr(after[name], part)
    }


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_image_more_changes_its_own_split_alone(path: Path, part: str) -> None:
    red = path / "walls" / part / "red"
    file = next(red.iterdir())
    assert changed(path, lambda: shutil.copy(file, red / "zz.png")) == {f"walls {part}"}


def test_a_task_more_changes_no_other(path: Path) -> None:
    def add() -> None:
        shutil.copytree(path / "walls", path / "doors")

    assert changed(path, add) == {"doors train", "doors test"}
    found = ImageFolder(path=path).fingerprints()
    assert found["doors"] == found["walls"]


def test_where_when_and_how_files_are_stored_does_not_matter(path: Path, tmp_path: Path) -> None:
    before = ImageFolder(path=path)
    link = tmp_path.with_name("link")
    link.symlink_to(path)
    assert ImageFolder(path=link).fingerprints() == before.fingerprints()
    assert ImageFolder(path=link).fingerprint() == before.fingerprint()

    def rearrange() -> None:
        red = path / "walls" / "train" / "red"
        os.utime(red / "0.png", (1, 1))
        (red / "1.png").rename(tmp_path.with_name("1.png"))
        (red / "1.png").symlink_to(tmp_path.with_name("1.png"))
        (red / "2.png").rename(red / "3.png")  # the same order
        (red / ".DS_Store").write_text("")
        (red / "notes.txt").write_text("")

    assert changed(path, rearrange) == set()


def test_the_order_of_files_matters(path: Path) -> None:
    red = path / "walls" / "train" / "red"
    assert changed(path, lambda: (red / "0.png").rename(red / "9.png")) == {"walls train"}


def test_an_image_in_another_class_changes_the_task(path: Path) -> None:
    train = path / "walls" / "train"

    def swap() -> None:
        (train / "red").rename(train / "x")
        (train / "dark_blue").rename(train / "red")
        (train / "x").rename(train / "dark_blue")

    assert changed(path, swap) == {"walls train"}


@pytest.mark.parametrize(
    ("options", "tasks"),
    [
        ({"template": "{}"}, {"walls", "leaves"}),
        ({"template": {"walls": "{}"}}, {"walls"}),
        ({"question": "Which colour?"}, {"walls", "leaves"}),
        ({"tasks": ("walls",)}, set()),
    ],
)
def test_prompts_change_the_tasks_that_have_them(
    path: Path, options: dict[str, Any], tasks: set[str]
) -> None:
    before, after = (ImageFolder(path=path, **o).fingerprints() for o in ({}, options))
    assert {name for name in after if before[name].train != after[name].train} == tasks
    assert {name for name in after if before[name].test != after[name].test} == tasks


def test_probes_have_fingerprints_of_their_test_images(path: Path) -> None:
    as_task = ImageFolder(path=path).fingerprints()["leaves"]
    as_probe = ImageFolder(path=path, probes=("leaves",)).fingerprints()["leaves"]
    assert as_probe.train == as_probe.test == as_task.test


def test_another_process_looks_at_the_data_itself(path: Path) -> None:
    config = ImageFolder(path=path)
    config.fingerprint()
    shutil.copy(path / "walls/train/red/0.png", path / "walls/train/red/zz.png")
    there = pickle.loads(pickle.dumps(config))
    assert there == config
    assert there.fingerprints()["walls"].train != config.fingerprints()["walls"].train
    assert there.fingerprints()["leaves"] == config.fingerprints()["leaves"]


def test_what_was_found_is_said(path: Path) -> None:
    red = path / "walls" / "train" / "red"
    shutil.copy(red / "0.png", red / "zz.png")
    (red / ".ipynb_checkpoints").mkdir()
    (red / "labels.csv").write_text("")
    shutil.copy(red / "0.png", path / "walls" / "train" / "0.png")
    (path / "walls" / "val").mkdir()
    (path / "README.txt").write_text("")
    config = ImageFolder(path=path)
    assert config.found() == (
        "Task 'leaves': 2 classes, 4 train images (2 per class) and 2 test images (1 per class).",
        "Task 'walls': 2 classes, 7 train images (3 to 4 per class) and 4 test images "
        "(2 per class).",
    )
    assert config.warnings() == (
        "Task 'leaves': 2 images in both train and test, such as 'leaves/test/green/0.png', so its "
        "accuracy is too high.",
        "Left out because Pillow reads no files ending in .csv: 1, such as "
        "'walls/train/red/labels.csv'.",
        "Left out because only train/ and test/ of a task are read: 1, such as 'walls/val'.",
        "Left out because they are hidden or the system's: 1, such as "
        "'walls/train/red/.ipynb_checkpoints'.",
        "Left out because they are in no class's folder: 1, such as 'walls/train/0.png'.",
        "Left out because they are in no task's folder: 1, such as 'README.txt'.",
    )


def test_hidden_and_system_folders_are_no_tasks_and_no_classes(path: Path) -> None:
    for name in ("lost+found", "__MACOSX", "@eaDir"):
        (path / name).mkdir()
        (path / "walls" / "train" / name).mkdir()
    config = ImageFolder(path=path)
    assert config.task_names() == ("leaves", "walls")
    assert config.load().tasks["walls"].choices == ("dark blue", "red")


def test_tasks_may_be_numbers(path: Path) -> None:
    (path / "walls").rename(path / "1")
    (path / "leaves").rename(path / "0")
    assert ImageFolder(path=path).task_names() == ("0", "1")
    given: dict[str, Any] = {"tasks": [1], "probes": [0], "template": {1: "{}!"}}
    benchmark = ImageFolder(path=path, **given).load()
    assert list(benchmark.tasks) == ["1"]
    assert list(benchmark.probes) == ["0"]
    assert benchmark.tasks["1"].templates == ("{}!",)


ACCENTED = "caf\u00e9"
"""One letter in four, however a disk stores it."""


def test_accents_are_read_alike_however_they_are_stored(path: Path) -> None:
    apart = unicodedata.normalize("NFD", ACCENTED)
    assert apart != ACCENTED
    (path / "walls" / "train" / "red").rename(path / "walls" / "train" / apart)
    (path / "walls" / "test" / "red").rename(path / "walls" / "test" / ACCENTED)
    (path / "leaves").rename(path / apart)
    config = ImageFolder(path=path, tasks=(ACCENTED, "walls"))
    assert config.task_names() == (ACCENTED, "walls")
    assert config.load().tasks["walls"].choices == (ACCENTED, "dark blue")
    assert ImageFolder(path=path, tasks=(apart, "walls")).fingerprint() == config.fingerprint()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("dark blue", "dark_blue"), "'; rename one"),
        ((ACCENTED, unicodedata.normalize("NFD", ACCENTED)), "only in how accents are stored"),
    ],
)
def test_classes_with_the_same_name_are_refused(
    path: Path, names: tuple[str, str], reason: str
) -> None:
    for name in names:
        for part in ("train", "test"):
            if not (path / "walls" / part / name).exists():
                shutil.copytree(path / "walls" / part / "red", path / "walls" / part / name)
    with pytest.raises(InputError, match="task 'walls': two classes have the same name") as error:
        ImageFolder(path=path).load()
    assert all(f"{name}'" in str(error.value) for name in names)
    assert reason in str(error.value)


def test_a_name_that_is_no_text_is_named(path: Path) -> None:
    os.rename(path / "walls" / "train" / "red", os.fsencode(path) + b"/walls/train/r\xe9d")
    with pytest.raises(InputError, match=r"the name of '.*' is not valid UTF-8") as error:
        ImageFolder(path=path).load()
    assert str(error.value).encode()
