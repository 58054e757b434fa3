"""Reference pools from data sets: folders with classes or captions, and what cannot be used."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sweep.errors import InputError
from sweep.tasks.dataset import Dataset

COLOURS = {"red": (255, 0, 0), "dark_blue": (0, 0, 139), "green": (0, 128, 0)}
FILES = {f"{colour}/{i}.png": colour for colour in COLOURS for i in range(4)}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder with a sub-folder for every class."""
    for file, colour in FILES.items():
        path = tmp_path / "classes" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), COLOURS[colour]).save(path)
    return tmp_path / "classes"


@pytest.fixture
def captions(tmp_path: Path, classes: Path) -> Path:
    """A folder with a table of captions."""
    folder = tmp_path / "captions"
    folder.mkdir()
    lines = ["file_name,text,stars"]
    for i, (file, colour) in enumerate(FILES.items()):
        shutil.copy(classes / file, folder / f"{i}.png")
        lines.append(f"{i}.png,something {colour},{i}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


def pairs(config: Dataset) -> list[tuple[Any, str]]:
    """Of every pair the colour of the image, and the caption."""
    images, texts = config.load()
    return [(images[i].getpixel((0, 0)), text) for i, text in enumerate(texts)]


def test_sub_folders_are_classes(classes: Path) -> None:
    found = pairs(Dataset(path=str(classes), template="a {} wall."))
    assert sorted(found) == sorted(
        (COLOURS[colour], f"a {colour.replace('_', ' ')} wall.") for colour in FILES.values()
    )


def test_captions_come_from_a_table(captions: Path) -> None:
    found = pairs(Dataset(path=str(captions), caption="text"))
    assert sorted(found) == sorted(
        (COLOURS[colour], f"something {colour}") for colour in FILES.values()
    )


def test_some_are_drawn_by_seed(classes: Path) -> None:
    draws = [pairs(Dataset(path=str(classes), size=5, seed=seed)) for seed in (0, 0, 1, 2)]
    assert [len(draw) for draw in draws] == [5] * 4
    assert draws[0] == draws[1]
    assert draws[0] != draws[2] != draws[3] != draws[0]
    everything = pairs(Dataset(path=str(classes), size=99))
    assert len(everything) == len(FILES)


def test_the_same_content_elsewhere_has_the_same_fingerprint(classes: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(classes, tmp_path / "copy")
    assert Dataset(path=str(copy)).fingerprint() == Dataset(path=str(classes)).fingerprint()


@pytest.mark.parametrize("options", [{"seed": 1}, {"size": 3}, {"template": "{}"}])
def test_other_options_have_another_fingerprint(classes: Path, options: dict[str, Any]) -> None:
    path = str(classes)
    assert Dataset(path=path, **options).fingerprint() != Dataset(path=path).fingerprint()


def test_one_other_caption_is_another_fingerprint(captions: Path) -> None:
    before = Dataset(path=str(captions), caption="text").fingerprint()
    table = captions / "metadata.csv"
    table.write_text(table.read_text().replace("something red", "something pink", 1))
    assert Dataset(path=str(captions), caption="text").fingerprint() != before


def test_relative_paths_mean_the_folder_the_study_was_started_in(
    classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(classes.parent)
    config = Dataset(path=classes.name)
    monkeypatch.chdir("/")
    assert len(pairs(config)) == len(FILES)


def test_reading_prints_nothing(classes: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Dataset(path=str(classes)).check()
    assert capfd.readouterr() == ("", "")


def refusal(config: Dataset) -> str:
    with pytest.raises(InputError) as error:
        config.check()
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith((".", "?"))
    return message


def test_what_is_not_there_is_named(captions: Path, classes: Path) -> None:
    assert "'text'?" in refusal(Dataset(path=str(captions), caption="texts"))
    assert "'image'?" in refusal(Dataset(path=str(classes), image="images"))
    assert "validation" in refusal(Dataset(path=str(classes), split="validation"))


def test_columns_that_hold_something_else_are_named(captions: Path) -> None:
    wrong = Dataset(path=str(captions), image="text", caption="text")
    assert "'text' holds no images" in refusal(wrong)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty' " in refusal(Dataset(path=str(tmp_path / "empty"))).replace(":", " ")


def test_a_file_that_is_no_image_is_named(classes: Path) -> None:
    for file in FILES:
        (classes / file).write_text("not an image")
    assert "png' cannot be read as an image" in refusal(Dataset(path=str(classes)))


@pytest.mark.parametrize("path", ["nobody/nothing", "nowhere", "/no/where", "a b"])
def test_what_is_neither_a_folder_nor_on_the_hub_is_named(path: str) -> None:
    assert f"reference '{path}' is neither a folder nor reachable" in refusal(Dataset(path=path))


def test_a_data_set_on_the_hub_is_pinned_to_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {"main": "1" * 40, "old": "2" * 40}
    loaded: list[dict[str, Any]] = []

    def fetch(path: str, file: str, *, repo_type: str, revision: str | None) -> str:
        assert (path, repo_type) == ("me/mine", "dataset")
        return f"cache/snapshots/{commits[revision or 'main']}/{file}"

    def load(*arguments: str, **options: str) -> None:
        loaded.append({"arguments": arguments, **options})
        raise ValueError("Seen.")

    monkeypatch.setattr("sweep.hub.hf_hub_download", fetch)
    monkeypatch.setattr("datasets.load_dataset", load)
    config = Dataset(path="me/mine", subset="small", split="test")
    assert config.fingerprint() != Dataset(path="me/mine", subset="small").fingerprint()
    other = Dataset(path="me/mine", subset="small", split="test", revision="old")
    assert config.fingerprint() != other.fingerprint()
    for one in (config, other):
        assert refusal(one) == "reference 'me/mine': it cannot be loaded: Seen."
    asked = {"arguments": ("me/mine", "small"), "split": "test"}
    assert loaded == [asked | {"revision": "1" * 40}, asked | {"revision": "2" * 40}]
