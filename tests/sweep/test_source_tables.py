"""Tables of what `datasets` reads: folders of parquet, saved ones, and the hub, offline."""

import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.errors import InputError
from sweep.tasks.sources.arrow import ArrowTable
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import identify
from tests.sweep.sources import (
    COMMIT,
    WHAT,
    isolate,
    labelled,
    numbers,
    on_the_hub,
    open_split,
    png,
    refusal,
    write_json,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def parquet(folder: Path, splits: Mapping[str, Any]) -> str:
    """Writes files of parquet by their names, as `push_to_hub` does."""
    for name, data in splits.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data.to_parquet(folder / name)
    return str(folder)


SHARDED = {
    "data/train-00000-of-00002.parquet": labelled([0, 1]),
    "data/train-00001-of-00002.parquet": labelled([2, 0], first=2),
    "data/test-00000-of-00001.parquet": labelled([1], first=4),
    "data/corrupted.noise-00000-of-00001.parquet": labelled([1], first=5),
}


def test_a_folder_of_parquet_has_several_splits(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x", SHARDED)
    table = open_split({"path": path})
    assert table.columns == ("image", "label", "text")
    assert len(table) == 4
    assert table.values("label") == [0, 1, 2, 0]
    assert table.values("text") == [f"text {i}" for i in range(4)]
    assert table.class_names("label") == ("cat", "apse/indoor", ".22")
    assert table.class_names("text") is None
    assert numbers(table) == [0, 1, 2, 3]
    assert numbers(table, rows=[3, 0, 3]) == [3, 0, 3]
    assert numbers(open_split({"path": path}, "test")) == [4]
    assert numbers(open_split({"path": path}, "corrupted.noise")) == [5]
    both = open_split({"path": path}, "test+train")
    assert numbers(both, rows=[4, 0, 1]) == [3, 4, 0]
    assert both.values("label") == [1, 0, 1, 2, 0]
    assert both.class_names("label") == ("cat", "apse/indoor", ".22")
    assert both.place(1) == f"{WHAT}: '{path}', split 'train', row 1"


def test_a_pinned_hub_id_loads_without_a_network(tmp_path: Path) -> None:
    parquet(tmp_path / "old", SHARDED)
    on_the_hub(tmp_path / "hub", "me/data", tmp_path / "old", COMMIT, "v1")
    parquet(tmp_path / "new", {"data/train-00000-of-00001.parquet": labelled([2], first=9)})
    on_the_hub(tmp_path / "hub", "me/data", tmp_path / "new", "f" * 40, "main")
    for revision, commit, pictures in (
        (None, "f" * 40, [9]),
        ("v1", COMMIT, [0, 1, 2, 3]),
        (COMMIT, COMMIT, [0, 1, 2, 3]),
        ("f" * 40, "f" * 40, [9]),
    ):
        source = {"path": "me/data", "revision": revision}
        assert numbers(open_split(source)) == pictures
        assert identify(TaskSource.model_validate(source), WHAT) == commit
    message = refusal({"path": "me/data", "revision": "v1"}, "tests")
    assert "split of task 'a': 'me/data' 'tests'; allowed" in message
    assert message.endswith(
        "test, train, or what is on the hub, which cannot be reached. Did you mean 'test'?"
    )


CARD = """---
configs:
- config_name: full_numbers
  data_files:
  - split: train
    path: full/train-*
- config_name: cropped_digits
  data_files:
  - split: train
    path: [cropped/train-*, cropped/extra-*]
  - split: valid
    path: cropped/valid-*
dataset_info:
- config_name: cropped_digits
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': zero
          '1': one
  splits:
  - name: train
    num_bytes: 100
    num_examples: 1000
  - name: test
    num_bytes: 100
    num_examples: 1000
  download_size: 100
  dataset_size: 100
---
# Digits
"""


def bare(file: Path, pictures: Sequence[int]) -> None:
    """Writes a parquet file that says nothing about its columns, as pandas or polars would."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"image": {"bytes": png(i), "path": None}, "label": i % 2} for i in pictures]
    pq.write_table(pa.Table.from_pylist(rows), file)


def test_a_card_says_which_files_and_what_labels_mean(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    bare(folder / "full" / "train-00000-of-00001.parquet", [9])
    bare(folder / "cropped" / "train-00000-of-00001.parquet", [0, 1])
    bare(folder / "cropped" / "extra-00000-of-00001.parquet", [2])
    bare(folder / "cropped" / "valid-00000-of-00001.parquet", [3])
    (folder / "README.md").write_text(CARD)
    on_the_hub(tmp_path / "hub", "me/svhn", folder, COMMIT, "main")
    for path in (str(folder), "me/svhn"):
        source = {"path": path, "config": "cropped_digits"}
        table = open_split(source)
        assert sorted(numbers(table)) == [0, 1, 2]
        assert table.class_names("label") == ("zero", "one")
        assert numbers(open_split(source, "valid")) == [3]
        assert numbers(open_split(source | {"config": "full_numbers"})) == [9]
        assert refusal({"path": path}) == (
            f"{WHAT}: '{path}' has several configurations; give config: one of cropped_digits, "
            "full_numbers."
        )
        assert "Did you mean 'cropped_digits'?" in refusal(source | {"config": "croped_digits"})
        message = refusal(source, "validation")
        assert "allowed: train, valid" in message
        assert message.endswith("Did you mean 'valid'?")


def test_names_of_files_tell_their_splits(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x",
        {
            "train.parquet": labelled([0]),
            "val/part-1.parquet": labelled([1], first=1),
            "my-test-set.parquet": labelled([1], first=2),
        },
    )
    assert numbers(open_split({"path": path})) == [0]
    assert numbers(open_split({"path": path}, "validation")) == [1]
    assert numbers(open_split({"path": path}, "test")) == [2]
    one = parquet(tmp_path / "y", {"pictures.parquet": labelled([0])})
    assert numbers(open_split({"path": one})) == [0]
    files = {"few shot": "val/*.parquet", "train": "*.parquet"}
    assert numbers(open_split({"path": path, "files": files}, "few shot")) == [1]
    assert numbers(open_split({"path": path, "files": files})) == [2, 0]
    assert "no files 'b*' for split 'x'" in refusal({"path": path, "files": {"x": "b*"}}, "x")


@pytest.mark.parametrize("name", ["a [1] *?", "train", "größe"])
def test_a_folder_may_be_called_anything(tmp_path: Path, name: str) -> None:
    path = parquet(tmp_path / name, {"test.parquet": labelled([0, 1])})
    assert numbers(open_split({"path": path}, "test")) == [0, 1]


def test_folders_by_save_to_disk_are_tables(tmp_path: Path) -> None:
    import datasets

    labelled([0, 1]).save_to_disk(tmp_path / "one")
    assert numbers(open_split({"path": str(tmp_path / "one")})) == [0, 1]
    splits = {"train": labelled([0, 1]), "dev": labelled([2], first=7)}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "two")
    source = {"path": str(tmp_path / "two")}
    assert numbers(open_split(source, "dev")) == [7]
    assert open_split(source, "dev").class_names("label") == ("cat", "apse/indoor", ".22")
    assert "allowed: dev, train." in refusal(source, "test")


def shards(folder: Path, split: str, samples: Sequence[Mapping[str, bytes]]) -> None:
    """Writes a webdataset of two samples per tar file."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(samples), 2):
        with tarfile.open(folder / f"{split}-{start // 2:04d}.tar", "w") as tar:
            for key, sample in enumerate(samples[start : start + 2], start=start):
                for ending, content in sample.items():
                    entry = tarfile.TarInfo(f"s{key:09d}.{ending}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))


def test_shards_of_a_webdataset_are_tables(tmp_path: Path) -> None:
    def sample(i: int) -> dict[str, bytes]:
        about = {"caption": f"number {i}", "objects": {"area": [i, 2]}}
        return {
            "png": png(i),
            "cls": str(i % 3).encode(),
            "txt": f"text {i}".encode(),
            "json": json.dumps(about).encode(),
        }

    shards(tmp_path / "x", "train", [sample(i) for i in range(5)])
    shards(tmp_path / "x", "test", [sample(i) for i in range(7, 9)])
    on_the_hub(tmp_path / "hub", "me/wds", tmp_path / "x", COMMIT, "main")
    for path in (str(tmp_path / "x"), "me/wds"):
        table = open_split({"path": path})
        assert numbers(table, "png") == [0, 1, 2, 3, 4]
        assert table.values("cls") == [0, 1, 2, 0, 1]
        assert table.values("txt") == [f"text {i}" for i in range(5)]
        assert table.values("json.caption") == [f"number {i}" for i in range(5)]
        assert table.values("json.objects.area") == [[i, 2] for i in range(5)]
        assert table.class_names("cls") is None
        assert numbers(open_split({"path": path}, "test"), "png") == [7, 8]


def test_tar_files_of_something_else_are_refused_in_one_sentence(tmp_path: Path) -> None:
    shards(tmp_path / "x", "train", [{"png": png(0)}, {"jpg": png(0), "txt": b"x"}])
    message = refusal({"path": str(tmp_path / "x")})
    assert message.startswith(f"{WHAT}: '{tmp_path / 'x'}' cannot be loaded: The TAR archives")


def test_what_is_broken_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "train.parquet").write_bytes(b"PAR1 nothing")
    assert "cannot be loaded: " in refusal({"path": str(tmp_path / "x")})
    assert "is neither a folder nor reachable on the hub" in refusal({"path": "no/body"})
    assert "is neither a folder nor reachable on the hub" in refusal({"path": "/no/where"})


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("nlphuji/flickr30k", "use 'lmms-lab/flickr30k'"),
        ("me/flickr30k", "use a copy of it that has parquet files"),
    ],
)
def test_data_sets_with_a_program_are_refused(tmp_path: Path, path: str, hint: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "flickr30k.py").write_text("import datasets\n")
    on_the_hub(tmp_path / "hub", path, tmp_path / "x", COMMIT, "main")
    assert refusal({"path": path}) == (
        f"{WHAT}: '{path}' comes with a program, flickr30k.py, and `datasets` no longer runs such; "
        f"{hint}, or try revision: refs/convert/parquet."
    )


def test_a_part_of_a_split_is_never_taken_for_the_whole(tmp_path: Path) -> None:
    parquet(tmp_path / "x", SHARDED)
    (tmp_path / "x" / "data" / "train-00001-of-00002.parquet").unlink()
    on_the_hub(tmp_path / "hub", "me/data", tmp_path / "x", COMMIT, "main")
    assert numbers(open_split({"path": "me/data"}, "test")) == [4]
    for path in ("me/data", str(tmp_path / "x")):
        assert "of a set of which 1 are missing" in refusal({"path": path})


def test_what_the_hub_lists_is_known_without_a_network(tmp_path: Path) -> None:
    """`huggingface_hub` remembers the list of all files when it fetches some of them."""
    names = ["train-a.parquet", "train-b.parquet", "test-a.parquet"]
    parquet(tmp_path / "x", {name: labelled([0]) for name in names})
    (tmp_path / "x" / "train-b.parquet").unlink()
    on_the_hub(tmp_path / "hub", "me/data", tmp_path / "x", COMMIT, "main")
    listed = {name: {"size": 1, "blob_id": "0" * 40} for name in (*names, ".gitattributes")}
    tree = tmp_path / "hub" / "datasets--me--data" / "trees" / f"{COMMIT}.json"
    write_json(tree, {"format_version": 1, "files": listed})
    assert numbers(open_split({"path": "me/data"}, "test")) == [0]
    message = refusal({"path": "me/data"})
    assert message.startswith(f"{WHAT}: 'me/data': 'train-b.parquet' cannot be fetched: ")
    assert "allowed: test, train." in refusal({"path": "me/data"}, "dev")


def test_local_data_are_identified_by_what_is_read(tmp_path: Path) -> None:
    def identity(folder: str, **options: Any) -> str:
        return identify(TaskSource.model_validate({"path": folder, **options}), WHAT)

    path = parquet(tmp_path / "x", SHARDED)
    before = identity(path)
    copy = shutil.copytree(path, tmp_path / "y" / "z")
    assert identity(str(copy)) == before
    labelled([0]).to_parquet(copy / "data" / "corrupted.noise-00000-of-00001.parquet")
    (copy / "notes.txt").write_text("not read")
    assert identity(str(copy)) == before
    assert identity(path, test="corrupted.noise") != before
    assert identity(path, train=None) != before
    labelled([0]).to_parquet(copy / "data" / "test-00000-of-00001.parquet")
    assert identity(str(copy)) != before


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    table = open_split({"path": parquet(tmp_path / "x", SHARDED)})
    ways: list[Callable[[], Any]] = [
        lambda: table.values("lable"),
        lambda: table.class_names("lable"),
        lambda: numbers(table, "lable"),
    ]
    for way in ways:
        with pytest.raises(InputError, match="Did you mean 'label'"):
            way()
    with pytest.raises(InputError, match="column 'label' holds no images"):
        numbers(table, "label")
    with pytest.raises(InputError, match="column 'image' holds images"):
        table.values("image")


def test_entries_of_structures_are_columns(tmp_path: Path) -> None:
    import datasets

    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(
        {
            "objects": datasets.List({"category": label, "area": datasets.Value("float32")}),
            "old": {"category": datasets.List(label)},
            "deep": {"er": {"label": label}},
            "seg.ids": datasets.List(datasets.Value("int64")),
        }
    )
    rows = [
        {
            "objects": [{"category": i % 2, "area": 2.5 * k} for k in range(i)],
            "old": {"category": [1, 0][:i]},
            "deep": {"er": {"label": 1}},
            "seg.ids": [i],
        }
        for i in range(4)
    ]
    rows.insert(2, rows[0] | {"objects": None})
    data = datasets.Dataset.from_list(rows, features=features)
    path = parquet(tmp_path / "x", {"a.parquet": data, "b.parquet": data.select(range(1, 4))})
    table = open_split({"path": path})
    assert table.columns == (
        *("objects", "objects.category", "objects.area", "old", "old.category"),
        *("deep", "deep.er", "deep.er.label", "seg.ids"),
    )
    expected = [[], [1], None, [0, 0], [1, 1, 1]]
    assert table.values("objects.category") == expected + expected[1:4]
    part = ArrowTable(data.select(range(1, 4)), WHAT, "train", "", [])
    assert part.values("objects.category") == expected[1:4]
    assert table.values("objects.area")[4] == [0, 2.5, 5]
    assert table.values("old.category")[:3] == [[], [1], []]
    assert table.values("deep.er.label") == [1] * 8
    assert table.values("seg.ids")[:2] == [[0], [1]]
    for column in ("objects.category", "old.category", "deep.er.label"):
        assert table.class_names(column) == ("cat", "dog")
    assert table.class_names("objects") is None
    assert table.class_names("seg.ids") is None


def test_splits_that_number_their_labels_differently_are_not_joined(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x",
        {"train.parquet": labelled([0]), "test.parquet": labelled([0], names=("dog", "cat"))},
    )
    table = open_split({"path": path}, "train+test")
    with pytest.raises(InputError, match="number the labels of 'label' differently"):
        table.class_names("label")


def test_files_that_were_put_in_the_place_of_others_are_read_anew(tmp_path: Path) -> None:
    """`datasets` itself takes files of one name and time for the same."""
    path = parquet(tmp_path / "x", {"train.parquet": labelled([0, 1])})
    file = tmp_path / "x" / "train.parquet"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    assert numbers(open_split({"path": path})) == [0, 1]
    labelled([0, 1], first=5).to_parquet(file)
    os.utime(file, ns=times)
    assert numbers(open_split({"path": path})) == [5, 6]


def test_a_cache_with_nothing_but_the_data_is_enough(tmp_path: Path) -> None:
    """Whoever fetches some files of a commit need not fetch .gitattributes."""
    parquet(tmp_path / "x", {"train.parquet": labelled([0, 1])})
    on_the_hub(tmp_path / "hub", "me/data", tmp_path / "x", COMMIT, "main")
    store = tmp_path / "hub" / "datasets--me--data"
    (store / "snapshots" / COMMIT / ".gitattributes").unlink()
    for revision in (COMMIT, None):
        source = {"path": "me/data", "revision": revision}
        assert numbers(open_split(source)) == [0, 1]
        assert identify(TaskSource.model_validate(source), WHAT) == COMMIT
    assert "neither a folder nor reachable" in refusal({"path": "me/data", "revision": "f" * 40})


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("---\na: [1\n---\n", "README.md cannot be read: while parsing a flow sequence"),
        ("---\njust text\n---\n", "README.md cannot be read: repo card metadata block should be"),
        (CARD.replace("class_label:", "class_labels:"), "loaded: Feature type 'ClassLabels' not"),
        (CARD.replace("dtype: image", "dtype: int64"), "cannot be loaded: Couldn't cast array of"),
        (CARD.replace("- name: label", "- name: labels"), "because column names don't match."),
    ],
)
def test_cards_that_are_wrong_are_said_in_one_sentence(
    tmp_path: Path, card: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("datasets").addHandler(caplog.handler)
    bare(tmp_path / "x" / "cropped" / "train-00000-of-00001.parquet", [0, 1])
    (tmp_path / "x" / "README.md").write_text(card)
    said = refusal({"path": str(tmp_path / "x"), "config": "cropped_digits"})
    assert said.startswith(f"{WHAT}: '{tmp_path / 'x'}'")
    assert message in said
    logging.getLogger("datasets").removeHandler(caplog.handler)
    assert not caplog.records


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    path = parquet(tmp_path / "data", {"train.parquet": labelled([0, 1])})
    message = refusal({"path": path, "revision": "v1"})
    assert "is a folder, and revision 'v1' would be one of the hub" in message
    with pytest.raises(InputError, match="leave revision out"):
        identify(TaskSource.model_validate({"path": path, "revision": "v1"}), "task 'a'")
