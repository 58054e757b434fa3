"""`sweep data`: which data sets are there, how large they are, and how to get the others."""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub._tree_cache import TreeCacheEntry, write_tree_cache

from sweep.cli.main import main
from sweep.errors import InputError
from sweep.preview.data_sets import DataOverview, find_data
from sweep.tasks.named.benchmark_files import benchmark_names, read_benchmark
from sweep.tasks.named.named_benchmark import Published
from sweep.tasks.named.presence import DataSet, find_data_sets
from sweep.tasks.sources.datasets import Datasets
from sweep.tasks.sources.source import TaskSource
from tests.sweep.sources import COMMIT, isolate, labelled, on_the_hub, write_json
from tests.sweep.test_source_hub import Hub

AIRCRAFT = read_benchmark("mtil").tasks["aircraft"]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a hub with the data set me/data."""
    Hub.root, Hub.fetched = tmp_path / "remote", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def broken_table(file: Path, rows: int) -> None:
    """Writes rows whose images no program can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": b"no image", "path": None}] * rows
    pq.write_table(pa.table({"image": images, "label": [i % 2 for i in range(rows)]}), file)


def overview(tasks: dict[str, Any], root: Path | None = None) -> DataOverview:
    return find_data(Datasets.model_validate({"tasks": tasks, "root": root}))


def one(tasks: dict[str, Any], root: Path | None = None) -> DataSet:
    (data,) = overview(tasks, root).data_sets
    return data


# --- what is found -------------------------------------------------------------------------------


def test_copies_below_the_root_count(tmp_path: Path) -> None:
    root = tmp_path / "root"
    broken_table(root / "me" / "data" / "data" / "train-00000-of-00001.parquet", 7)
    broken_table(root / "me" / "data" / "data" / "test-00000-of-00001.parquet", 3)
    expected = {"train": 7, "test": 4}
    found = overview({"a": {"path": "me/data", "expected": expected}}, root)
    assert found.is_there
    assert found.data_sets[0].folder == root / "me" / "data"
    assert found.rows == {"a": {"train": 7, "test": 3}}
    assert found.unexpected("a") == ("test 3 instead of 4",)
    assert not overview({"a": {"path": "me/data"}}).is_there


def test_the_hub_cache_counts_and_tells_the_commit(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    broken_table(folder / "train-00000-of-00001.parquet", 5)
    broken_table(folder / "test-00000-of-00001.parquet", 2)
    on_the_hub(tmp_path / "hub", "me/data", folder, ref="v1")
    data = one({"a": {"path": "me/data", "revision": "v1"}})
    assert data.is_there
    assert data.commit == COMMIT
    assert data.folder == tmp_path / "hub" / "datasets--me--data" / "snapshots" / COMMIT
    other = one({"a": {"path": "me/data", "revision": "v2"}})
    assert other.folder is other.commit is None
    assert other.missing == ("all of it",)


def test_files_that_the_hub_has_and_the_cache_has_not_are_missed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    broken_table(folder / "data" / "train-00000-of-00001.parquet", 5)
    on_the_hub(tmp_path / "hub", "me/data", folder)
    source = {"a": {"path": "me/data"}}
    assert one(source).missing == ("the split 'test'",)
    published = ["README.md", "data/train-00000-of-00001.parquet", "extra/x.parquet"]
    published += [f"data/test-0000{i}-of-00003.parquet" for i in range(3)]
    entry = TreeCacheEntry(size=1, blob_id="0" * 40)
    store = str(tmp_path / "hub" / "datasets--me--data")
    write_tree_cache(store, COMMIT, dict.fromkeys(published, entry))
    assert one(source).missing == ("3 files of the split 'test'",)
    broken_table(folder / "data" / "test-00001-of-00003.parquet", 5)
    on_the_hub(tmp_path / "hub2", "me/data", folder)
    (tmp_path / "hub2" / "datasets--me--data").rename(tmp_path / "copied")
    link = tmp_path / "hub" / "datasets--me--data" / "snapshots" / COMMIT / "data"
    (link / "test-00001-of-00003.parquet").write_bytes(b"")
    assert one(source).missing == ("2 files of the split 'test'",)


def test_shards_that_are_not_there_are_missed_without_a_list(tmp_path: Path) -> None:
    broken_table(tmp_path / "root" / "me" / "data" / "train-00000-of-00003.parquet", 5)
    broken_table(tmp_path / "root" / "me" / "data" / "test-00000-of-00001.parquet", 5)
    data = one({"a": {"path": "me/data"}}, tmp_path / "root")
    assert data.missing == ("2 files of the split 'train'",)
    assert not data.is_there


def test_conversations_need_their_images(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "me" / "talks"
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
    rows = [{"id": str(i), "image": f"{i}.png", "conversations": turns} for i in range(4)]
    write_json(folder / "a" / "train.json", rows)
    source = {
        "path": "me/talks",
        "kind": "answers",
        "files": {"train": "a/train.json", "test": "a/test.json"},
        "images": "pictures",
    }
    lacking = ("the folder 'pictures'", "the split 'test'")
    assert one({"a": source}, tmp_path / "root").missing == lacking
    write_json(folder / "a" / "test.json", rows[:3])
    (folder / "pictures").mkdir()
    found = overview({"a": source}, tmp_path / "root")
    assert found.is_there
    assert found.rows["a"] == {"train": 4, "test": 3}


def test_a_folder_of_images_and_split_files(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for number in range(count):
            file = tmp_path / "root" / "mine" / part / "cats" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            labelled([0])[0]["image"].save(file)
    found = overview({"a": {"path": "mine"}}, tmp_path / "root")
    assert found.rows["a"] == {"train": 3, "test": 2}
    listed = {"path": "mine", "split_file": "split_zhou_Mine.json", "images": "jpg"}
    data = one({"a": listed}, tmp_path / "root")
    assert data.missing == ("the file 'split_zhou_Mine.json'", "the folder 'jpg'")


def test_sizes_of_splits_that_are_cut(tmp_path: Path) -> None:
    for split, count in (("train", 7), ("validation", 4)):
        broken_table(tmp_path / "root/me/data" / f"{split}-00000-of-00001.parquet", count)
    source = {"path": "me/data", "train": "train+validation", "split": 0.8}
    right = source | {"expected": {"train": 8, "test": 3}}
    found = overview({"a": right}, tmp_path / "root")
    assert found.rows["a"] == {"train": 7, "validation": 4}
    assert found.unexpected("a") == ()
    wrong = source | {"expected": {"train": 9, "test": 2}}
    assert overview({"a": wrong}, tmp_path / "root").unexpected("a") == (
        "train 8 instead of 9",
        "test 3 instead of 2",
    )
    some = wrong | {"classes": ["x"]}  # only reading the labels tells how many rows these have
    assert overview({"a": some}, tmp_path / "root").unexpected("a") == ()


def test_tasks_of_one_data_set_are_one() -> None:
    tasks = {
        "a": {"path": "me/data", "classes": ["x"]},
        "b": {"path": "me/other"},
        "c": {"path": "me/data", "classes": ["y"]},
        "d": {"path": "me/data", "revision": "v2"},
    }
    found = [list(data.sources) for data in overview(tasks).data_sets]
    assert found == [["a", "c"], ["b"], ["d"]]


# --- how to get it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "root", "expected"),
    [
        ({"path": "me/data"}, None, "hf download --repo-type dataset me/data"),
        (
            {"path": "me/data", "revision": "v1"},
            "/my data",
            "hf download --repo-type dataset me/data --revision v1 --local-dir '/my data/me/data'",
        ),
        (
            {"path": "me/data", "images": "pictures"},
            None,
            "hf download --repo-type dataset me/data --local-dir ROOT/me/data",
        ),
        (
            {"path": "me/data", "train": None, "test": "validation"},
            None,
            "hf download --repo-type dataset me/data --include .gitattributes --include README.md "
            "--include '*validation*'",
        ),
        ({"path": "caltech-101"}, "/data", ""),
    ],
)
def test_the_command(source: dict[str, Any], root: str | None, expected: str) -> None:
    where = None if root is None else Path(root)
    (data,) = find_data_sets({"a": TaskSource.model_validate(source)}, where)
    assert data.command == expected


@pytest.mark.parametrize("root", [None, "copies"])
def test_the_command_gets_it(
    hub: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    root: str | None,
) -> None:
    for split in ("train", "validation"):
        broken_table(tmp_path / "remote" / "data" / f"{split}-00000-of-00001.parquet", 3)
    (tmp_path / "remote" / ".gitattributes").write_text("*.parquet filter=lfs\n")
    where = root and tmp_path / root
    probe = {"path": "me/data", "revision": "v1", "train": None, "test": "validation"}
    (data,) = find_data_sets({"a": TaskSource.model_validate(probe)}, where or None)
    assert not data.is_there
    home = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HOME": str(tmp_path / "home")}
    options = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    program = [str(Path(sys.executable).with_name("hf")), *shlex.split(data.command)[1:]]
    done = subprocess.run(
        program, env=os.environ | home | options, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (fetched,) = find_data_sets({"a": TaskSource.model_validate(probe)}, where or None)
    assert fetched.is_there
    assert fetched.commit == COMMIT
    assert fetched.folder
    assert [file.name for file in fetched.folder.rglob("*.parquet")] == [
        "validation-00000-of-00001.parquet"
    ]
    whole = probe | {"train": "train"}
    (lacking,) = find_data_sets({"a": TaskSource.model_validate(whole)}, where or None)
    assert lacking.missing == ("1 file of the split 'train'",)


# --- the command line ----------------------------------------------------------------------------


def test_without_arguments_benchmarks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(benchmark_names()) + 1
    assert any(line.startswith("mtil  MTIL, multi-domain") for line in lines)
    assert main(["data", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(benchmark_names())


def test_a_benchmark_that_is_there_in_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    for split, rows in (("train", 3334), ("test", 3)):
        broken_table(folder / f"{split}-00000-of-00001.parquet", rows)
    assert AIRCRAFT.revision
    on_the_hub(tmp_path / "hub", AIRCRAFT.path, folder, AIRCRAFT.revision)
    assert main(["data", "mtil"]) == 1
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert "1 of 11 data sets are on this machine." in lines[-1]
    assert f"there  mteb/FGVCAircraft  {AIRCRAFT.revision}" in lines
    sizes = "train 3,334 rows, test 3 rows, but test 3 instead of 3,333 as published"
    assert f"  aircraft: {sizes}" in lines
    assert "  2.7 GB" in lines
    assert any(line.startswith("  licence: non-commercial research") for line in lines)
    food = read_benchmark("mtil").tasks["food"]
    command = f"hf download --repo-type dataset ethz/food101 --revision {food.revision}"
    assert f"  Get it: {command}" in lines
    assert read_benchmark("mtil").note in said
    assert main(["data", "mtil", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found == find_data("mtil").as_dict()
    assert [data["is_there"] for data in found["data_sets"]].count(True) == 1
    aircraft = found["data_sets"][0]
    assert aircraft["tasks"]["aircraft"]["rows"] == {"train": 3334, "test": 3}
    assert aircraft["tasks"]["aircraft"]["unexpected"] == ["test 3 instead of 3,333"]


def test_a_study_and_its_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "test"):
        broken_table(tmp_path / "root/ylecun/mnist" / f"{split}-00000-of-00001.parquet", 4)
    study = {
        "name": "some",
        "benchmark": {"name": "mtil", "tasks": ["mnist"], "root": str(tmp_path / "root")},
        "backbones": ["tiny-clip"],
        "methods": ["finetune"],
    }
    Path("study.yaml").write_text(yaml.safe_dump(study))
    assert main(["data", "study.yaml"]) == 0
    assert "All data sets are on this machine." in capsys.readouterr().out
    assert main(["data", "study.yaml", "--root", str(tmp_path)]) == 1
    copy = f"--local-dir {tmp_path}/ylecun/mnist"
    assert copy in capsys.readouterr().out
    assert main(["data", "study.yaml", "--set", "benchmark.tasks=[food]"]) == 1
    assert "ethz/food101" in capsys.readouterr().out
    assert main(["data", "quickstart"]) == 0
    assert "needs no data set" in capsys.readouterr().out


def test_data_that_are_on_no_hub(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "x-tail", "--root", "/somewhere"]) == 1
    said = capsys.readouterr().out
    assert "  It is on no hub: put its files into /somewhere/caltech-101" in said.splitlines()


def test_bad_input_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["mtl"], "Unknown benchmark or study 'mtl'; allowed: architectures, arch"),
        (["mtl"], "Did you mean 'mtil'?"),
        (["none.yaml"], "Study file 'none.yaml' does not exist."),
        (["mtil", "--set", "seed=1"], "'mtil' is a benchmark; --set changes keys of a study."),
        (["mtl", "--published"], "Did you mean 'mtil'?"),
    ):
        assert main(["data", *arguments]) == 2
        said = capsys.readouterr()
        assert expected in said.err
        assert len(said.err.strip().splitlines()) == 1
        assert not said.out


def test_published_orders_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "mtil", "--published"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("order order-1: aircraft,caltech101,") for line in lines)
    zscl = "zscl, order-1: Transfer 68.1, Average 75.4, Last 83.6 ("
    assert any(line.startswith(zscl) for line in lines)
    assert any(line.startswith("zero-shot: aircraft 24.3, ") for line in lines)
    assert main(["data", "mtil", "--published", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["orders"]["order-1"][0] == "aircraft"
    assert {"method": "zscl", "transfer": 68.1}.items() <= next(
        figures for figures in found["published"] if figures["method"] == "zscl"
    ).items()


def test_the_function_takes_a_section(tmp_path: Path) -> None:
    named = Published(name="mtil", tasks=("food",), root=tmp_path)
    assert [data.path for data in find_data(named).data_sets] == ["ethz/food101"]
    with pytest.raises(InputError, match="Unknown benchmark or study 'mtl'"):
        find_data("mtl")
