"""Folders of images as a benchmark: what is read, and what is refused in one sentence."""

import shutil
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
