"""Reference pools from data sets: folders with classes or captions, and what cannot be used."""

import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sweep.errors import InputError
from sweep.tasks.dataset import Dataset
from tests.sweep.sources import isolate, on_the_hub

COLOURS = {"red": (255, 0, 0), "dark_blue": (0, 0, 139), "green": (0, 128, 0)}
FILES = {f"{colour}/{i}.png": colour for colour in COLOURS for i in range(4)}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


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
    assert f"reference: '{path}' is neither a folder nor reachable" in refusal(Dataset(path=path))


def test_a_data_set_on_the_hub_is_pinned_to_its_commit(tmp_path: Path) -> None:
    for commit, ref, captions in (("1" * 40, "main", ["new"]), ("2" * 40, "old", ["old"])):
        folder = tmp_path / ref
        folder.mkdir()
        hub_like(("cat", "dog"), captions).to_parquet(folder / "train-00000-of-00001.parquet")
        on_the_hub(tmp_path / "hub", "me/mine", folder, commit, ref)
    new, old = (Dataset(path="me/mine", revision=r, caption="caption") for r in (None, "old"))
    assert [pairs(new), pairs(old)] == [[((0, 0, 0), "new")], [((0, 0, 0), "old")]]
    assert new.fingerprint() != old.fingerprint()
    pinned = Dataset(path="me/mine", revision="1" * 40, caption="caption")
    assert pinned.fingerprint() == new.fingerprint()


def table(folder: Path, name: str, text: str) -> Dataset:
    """A folder of ten images with this table of captions."""
    folder.mkdir(exist_ok=True)
    for i in range(10):
        Image.new("RGB", (8, 8), (25 * i, 0, 0)).save(folder / f"{i}.png")
    (folder / name).write_text(text, encoding="utf-8")
    return Dataset(path=str(folder), caption="caption")


TEXTS = ["NA", "7", "007", "None", "nan", "1e3", "true", "2024-01-31", " a  b ", "caf\u00e9, so"]
"""What other readers of tables take for something else than text."""


def reds(config: Dataset) -> list[tuple[int, str]]:
    """Of every pair the number of the image, and the caption."""
    return [(colour[0] // 25, text) for colour, text in pairs(config)]


def test_captions_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    lines = [f'{i}.png,"{text}"' for i, text in enumerate(TEXTS)]
    config = table(tmp_path / "x", "metadata.csv", "\n".join(["file_name,caption", *lines]) + "\n")
    config.check()
    assert reds(config) == list(enumerate(TEXTS))


def test_numbers_alone_are_text(tmp_path: Path) -> None:
    config = table(tmp_path / "x", "metadata.csv", "file_name,caption\n0.png,7\n1.png,0.50\n")
    assert reds(config) == [(0, "7"), (1, "0.50")]


def test_a_table_may_come_from_windows(tmp_path: Path) -> None:
    config = table(tmp_path / "x", "metadata.csv", "\ufefffile_name,caption\r\n0.png,a cat\r\n")
    assert reds(config) == [(0, "a cat")]


def test_lines_of_json_have_captions_too(tmp_path: Path) -> None:
    lines = [json.dumps({"file_name": f"{i}.png", "caption": x}) for i, x in enumerate(TEXTS)]
    lines[1] = '{"file_name": "1.png", "caption": 7.50}'
    config = table(tmp_path / "x", "metadata.jsonl", "\n".join([*lines, ""]))
    config.check()
    assert reds(config) == [(i, "7.50" if i == 1 else text) for i, text in enumerate(TEXTS)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.csv", "file_name,caption\n0.png,x\n1.png,\n", "line 3: the column 'caption' is"),
        ("metadata.csv", "file_name,caption\n0.png,  \n", "line 2: the column 'caption' is empty"),
        ("metadata.csv", "file_name,caption\n0.png,x\n11.png,y\n", "line 3: there is no file '"),
        ("metadata.csv", "file_name,caption\n0.png,a red, round ball\n", "3 values for 2 columns"),
        ("metadata.csv", "file_name,caption\n0.png\n", "line 2 has 1 values for 2 columns"),
        ("metadata.csv", "caption\nx\n", "the column 'file_name' must name an image"),
        ("metadata.csv", "file_name,caption,caption\n0.png,x,y\n", "two columns 'caption'"),
        ("metadata.csv", "file_name,caption\n", "has no rows"),
        ("metadata.csv", "", "has no rows"),
        ("metadata.csv", 'file_name,caption\n0.png,"x\n', "cannot be read: "),
        ("metadata.csv", "file_name,text\n0.png,x\n", "allowed: image, text"),
        ("metadata.jsonl", '{"file_name": "0.png", "caption": null}', "line 1: the column 'capti"),
        ("metadata.jsonl", '{"file_name": "0.png", "caption": {}}', "neither texts nor labels"),
        ("metadata.jsonl", '\n{"file_name": "0.png"', "cannot be read: "),
        ("metadata.jsonl", "[1]", "line 1: must be an object, got [1]"),
    ],
)
def test_rows_that_cannot_be_used_are_named(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    config = table(tmp_path / "x", name, text)
    assert message in refusal(config)
    with pytest.raises(InputError):  # even before
        config.fingerprint()


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    config = table(tmp_path / "x", "metadata.csv", "")
    (tmp_path / "x" / "metadata.csv").write_bytes(b"file_name,caption\n0.png,caf\xe9\n")
    assert "metadata.csv' cannot be read: 'utf-8' codec" in refusal(config)


@pytest.mark.parametrize("broken", range(6))
def test_all_images_are_looked_at(tmp_path: Path, broken: int) -> None:
    lines = [f"{i}.png,picture {i}" for i in range(6)]
    config = table(tmp_path / "x", "metadata.csv", "\n".join(["file_name,caption", *lines]))
    file = tmp_path / "x" / f"{broken}.png"
    file.write_bytes(b"\xff\xd8 no picture")
    assert f"'{file}' cannot be read as an image" in refusal(config)


def test_images_without_captions_are_left_out_and_said(tmp_path: Path) -> None:
    config = table(tmp_path / "x", "metadata.csv", "file_name,caption\n0.png,x\n2.png,y\n")
    config = config.model_copy(update={"size": 1})
    assert config.found() == (f"Reference '{tmp_path / 'x'}': 1 of 2 pairs are used.",)
    assert config.warnings() == (
        "Left out because they are not in metadata.csv: 8, such as '1.png'.",
    )


def test_what_is_not_drawn_does_not_matter(classes: Path) -> None:
    config = Dataset(path=str(classes), size=3)
    before = config.fingerprint()
    drawn = {os.path.relpath(file, classes) for file in config.load()[0].files}
    other = next(file for file in FILES if file not in drawn)
    Image.new("RGB", (5, 5)).save(classes / other)
    assert Dataset(path=str(classes), size=3).fingerprint() == before
    Image.new("RGB", (5, 5)).save(classes / next(iter(drawn)))
    assert Dataset(path=str(classes), size=3).fingerprint() != before


def splits(folder: Path, names: Sequence[str], classes: Sequence[str] = ("",)) -> str:
    for number, name in enumerate(names):
        for label in classes:
            for i in range(3):
                file = folder / name / label / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (number, i, 0)).save(file)
    return str(folder)


@pytest.mark.parametrize("names", [("train", "test"), ("training", "val"), ("train",)])
def test_splits_without_classes_are_refused(tmp_path: Path, names: Sequence[str]) -> None:
    path = splits(tmp_path / "x", names)
    assert f"{names[0]}' holds no images with captions: it needs metadata.csv" in refusal(
        Dataset(path=path)
    )


def test_splits_have_classes_of_their_own(tmp_path: Path) -> None:
    path = splits(tmp_path / "x", ("train", "validation"), ("cat", "dog"))
    for number, split in enumerate(("train", "validation")):
        found = pairs(Dataset(path=path, split=split))
        assert [text for _, text in found] == ["a photo of a cat."] * 3 + ["a photo of a dog."] * 3
        assert {colour[0] for colour, _ in found} == {number}
    assert "Did you mean 'validation'" in refusal(Dataset(path=path, split="validations"))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    found = pairs(Dataset(path=splits(tmp_path / "x", ("car", "train"))))
    assert {text for _, text in found} == {"a photo of a car.", "a photo of a train."}
    path = splits(tmp_path / "y", ("test", "train", "notes"))
    assert "test, train are splits or classes, but 'notes' beside them" in refusal(
        Dataset(path=path)
    )


def test_a_table_may_be_of_one_split_or_of_all(tmp_path: Path) -> None:
    path = splits(tmp_path / "x", ("train", "test"))
    lines = [
        "file_name,caption",
        *(f"{s}/{i}.png,{s} {i}" for s in ("train", "test") for i in "01"),
    ]
    (tmp_path / "x" / "metadata.csv").write_text("\n".join(lines))
    config = Dataset(path=path, caption="caption", split="test")
    assert pairs(config) == [((1, 0, 0), "test 0"), ((1, 1, 0), "test 1")]
    (tmp_path / "x" / "metadata.csv").unlink()
    (tmp_path / "x" / "test" / "metadata.csv").write_text("file_name,caption\n2.png,last\n")
    config = Dataset(path=path, caption="caption", split="test")
    assert pairs(config) == [((1, 2, 0), "last")]


def hub_like(labels: Sequence[str], captions: Sequence[Any]) -> Any:
    import datasets

    pictures = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(len(captions))]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(labels)),
            "caption": datasets.Value("string"),
        }
    )
    columns = {
        "image": pictures,
        "label": [i % len(labels) for i in range(len(captions))],
        "caption": captions,
    }
    return datasets.Dataset.from_dict(columns, features=features)


def test_folders_by_save_to_disk_are_read(tmp_path: Path) -> None:
    import datasets

    data = hub_like(("big_cat", "dog"), ["one", "two", "three"])
    data.save_to_disk(tmp_path / "one")
    config = Dataset(path=str(tmp_path / "one"), caption="caption")
    config.check()
    assert pairs(config) == [((0, 0, 0), "one"), ((1, 0, 0), "two"), ((2, 0, 0), "three")]
    datasets.DatasetDict({"train": data, "test": data.select([2])}).save_to_disk(tmp_path / "two")
    config = Dataset(path=str(tmp_path / "two"), split="test")
    assert pairs(config) == [((2, 0, 0), "a photo of a big cat.")]
    assert "allowed: test, train" in refusal(Dataset(path=str(tmp_path / "two"), split="dev"))


def test_folders_of_parquet_files_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    data = hub_like(("cat", "dog"), ["one", "two", "three"])
    data.to_parquet(folder / "train-00000-of-00001.parquet")
    data.select([1]).to_parquet(folder / "test-00000-of-00001.parquet")
    config = Dataset(path=str(folder), caption="caption")
    config.check()
    assert [text for _, text in pairs(config)] == ["one", "two", "three"]
    before = config.fingerprint()
    assert pairs(Dataset(path=str(folder), split="test")) == [((1, 0, 0), "a photo of a dog.")]
    data.select([0]).to_parquet(folder / "train-00000-of-00001.parquet")
    assert Dataset(path=str(folder), caption="caption").fingerprint() != before


def test_bytes_in_parquet_files_are_images(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 0, 0)).save(content, "PNG")
    row = {"image": {"bytes": content.getvalue(), "path": None}, "caption": "one"}
    (tmp_path / "x").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x" / "part-0.parquet")
    assert pairs(Dataset(path=str(tmp_path / "x"), caption="caption")) == [((9, 0, 0), "one")]


@pytest.mark.parametrize("empty", [None, "", " "])
def test_empty_captions_are_refused_wherever_they_come_from(
    tmp_path: Path, empty: str | None
) -> None:
    hub_like(("cat", "dog"), ["one", empty, "three"]).save_to_disk(tmp_path / "x")
    config = Dataset(path=str(tmp_path / "x"), caption="caption")
    assert "split 'train', row 2: the column 'caption' is empty" in refusal(config)


def test_labels_that_are_splits_are_refused(tmp_path: Path) -> None:
    hub_like(("test", "train"), ["one", "two"]).save_to_disk(tmp_path / "x")
    assert "its labels are names of splits, such as 'test'" in refusal(
        Dataset(path=str(tmp_path / "x"))
    )


def test_broken_images_of_tables_are_found(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": b"nothing", "path": None}, "caption": "one"}]
    (tmp_path / "x").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x" / "part-0.parquet")
    message = refusal(Dataset(path=str(tmp_path / "x"), caption="caption"))
    assert "split 'train', row 1 cannot be read as an image: " in message


def test_tables_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_like(("cat", "dog"), ["one", "two"]).save_to_disk(tmp_path / "x")
    decoded: list[int] = []
    monkeypatch.setattr(
        "sweep.tasks.dataset.decode_all", lambda pictures: decoded.append(len(pictures))
    )
    for _ in range(2):
        Dataset(path=str(tmp_path / "x")).check()
    assert decoded == [2]
