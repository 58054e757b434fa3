"""The store: a stage is there with all it needs, or it is not there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import fs

from methods.base import State
from sweep.plan.units import Unit
from sweep.stage.evaluator import EMBEDDINGS
from sweep.storage.folder import Folder
from sweep.storage.store import Kept, Record, StateLostError, Store

ROW: dict[str, Any] = {
    "split": "task",
    "eval_task": "a",
    "metric": "accuracy",
    "value": 1 / 3,
    "n": 30,
}
WANTED = "wanted"
RECORD = Record(
    key="key", evaluation=WANTED, scores=(ROW,), seconds={"train": 1.5}, worker={"host": "here"}
)


def state(value: float = 1.0) -> State:
    return {"weights/w": torch.full((3, 2), value), "extra/seen": torch.tensor(7)}


@pytest.fixture(params=["path", "uri", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """On a local path, on the same as a URI, and on a filesystem that is not the local one."""
    out = tmp_path / "out"
    return Store({"path": str(out), "uri": out.as_uri(), "memory": "mock:///out"}[request.param])


def test_what_was_saved_comes_back(store: Store) -> None:
    mean = {"eval_task": "a", "modality": "image", "sample": None, "choice": None}
    vectors = [
        mean | {"vector": [0.5, 0.25]},
        mean | {"sample": 3, "choice": 1, "vector": [0.5, -1.0]},
    ]
    saved = store.save(RECORD, state(), pa.Table.from_pylist(vectors, EMBEDDINGS))
    assert store.finished() == {"key": Kept(has_state=True)}
    assert store.record("key") == saved
    assert saved.scores == RECORD.scores
    loaded = store.state("key")
    assert loaded.keys() == state().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state().items())
    embeddings = store.embeddings("key")
    assert embeddings is not None
    assert embeddings.to_pylist() == vectors


def test_a_stage_may_have_neither_state_nor_embeddings(store: Store) -> None:
    store.save(Record(key="key"), None)
    assert store.finished() == {"key": Kept(has_state=False)}
    assert store.embeddings("key") is None


def test_nothing_is_finished_in_the_beginning(store: Store) -> None:
    assert store.finished() == {}


def test_dropped_state_leaves_the_record(store: Store) -> None:
    store.save(RECORD, state())
    store.drop_state("key")
    assert store.finished() == {"key": Kept(has_state=False)}
    assert store.record("key").scores == RECORD.scores
    store.drop_state("key")


def test_a_stage_without_a_record_is_not_finished(store: Store) -> None:
    """Its writer died before the last file."""
    store.save(RECORD, state())
    store.folder.delete("stages", "key", "stage.wanted.json")
    assert store.finished() == {}


def test_the_record_is_written_last(store: Store, monkeypatch: Any) -> None:
    written = []
    write, new_file = Folder.write, Folder.new_file

    def noting(folder: Folder, content: bytes, *parts: str) -> None:
        write(folder, content, *parts)
        written.append(parts[-1])

    @contextmanager
    def noting_file(folder: Folder, *parts: str) -> Iterator[Path]:
        with new_file(folder, *parts) as file:
            yield file
        written.append(parts[-1])

    monkeypatch.setattr(Folder, "write", noting)
    monkeypatch.setattr(Folder, "new_file", noting_file)
    store.save(RECORD, state(), pa.Table.from_pylist([], EMBEDDINGS))
    assert sorted(written) == [
        "embeddings.wanted.parquet",
        "stage.wanted.json",
        "state.safetensors",
    ]
    assert written[-1] == "stage.wanted.json"


def test_a_file_appears_whole_or_not_at_all(store: Store) -> None:
    with store.folder.new_file("whole") as file:
        file.write_bytes(b"first")
        assert not store.folder.exists("whole")
    assert store.folder.read("whole") == b"first"

    def fails() -> None:
        with store.folder.new_file("whole") as file:
            file.write_bytes(b"sec")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        fails()
    assert store.folder.read("whole") == b"first"
    assert [info.base_name for info in store.folder.list()] == ["whole"]


def test_states_are_as_readable_as_other_files(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.save(RECORD, state())
    modes = {file.stat().st_mode for file in (tmp_path / "stages" / "key").iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_damaged_state_is_not_read(store: Store, damage: Any) -> None:
    store.save(RECORD, state())
    content = store.folder.read("stages", "key", "state.safetensors")
    store.folder.write(damage(content), "stages", "key", "state.safetensors")
    with pytest.raises(StateLostError, match="key"):
        store.state("key")


def test_a_state_that_is_gone_is_an_error(store: Store) -> None:
    store.save(RECORD, None)
    with pytest.raises(StateLostError, match="key"):
        store.state("key")


def test_writers_of_the_same_stage_do_not_disturb_each_other(store: Store) -> None:
    """Two lanes may finish the same unit; what they write is the same."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.save(RECORD, state()), range(24)))
    assert store.finished() == {"key": Kept(has_state=True)}
    assert torch.equal(store.state("key")["weights/w"], state()["weights/w"])
    assert len(store.folder.list("stages", "key")) == 2


def test_readers_never_see_half_a_file(store: Store) -> None:
    contents = [bytes([i]) * 100_000 for i in range(8)]
    store.folder.write(contents[0], "file")
    if not isinstance(store.folder.filesystem, fs.LocalFileSystem):
        pytest.skip("object stores publish a file when it is closed; this stand-in does not")
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(lambda: [store.folder.write(c, "file") for c in contents * 5])
        while not writing.done():
            assert store.folder.read("file") in contents


def test_a_local_folder_does_not_depend_on_where_the_process_is(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("out")
    monkeypatch.chdir("/")
    store.save(RECORD, None)
    assert (tmp_path / "out" / "stages" / "key" / "stage.wanted.json").exists()


def test_another_evaluation_does_not_take_the_place_of_the_first(store: Store) -> None:
    """It says what it covers; what covers more than is wanted will do."""
    less, more = {"data a": "1"}, {"data a": "1", "data b": "2"}
    both = Store(store.folder.uri, {"less": less, "more": more})
    both.folder = store.folder
    both.write_evaluations()
    first = both.save(replace(RECORD, evaluation="less"), state())
    wanted = {"key": unit("more")}
    assert both.finished(wanted) == {"key": Kept(has_state=True, has_scores=False)}
    with pytest.raises(FileNotFoundError):
        both.record("key", "more")
    rows = (ROW, ROW | {"eval_task": "b"})
    now = replace(RECORD, evaluation="more", scores=rows, seconds={"evaluate": 1.0})
    both.save(now, None, former=both.training("key"))
    assert both.finished(wanted) == {"key": Kept(has_state=True)}
    assert both.record("key", "more").seconds == {"train": 1.5, "evaluate": 1.0}
    assert both.state("key").keys() == state().keys()
    both.folder.delete("stages", "key", "stage.less.json")
    later = Store(store.folder.uri, {"less": less})
    later.folder = store.folder
    assert later.finished({"key": unit("less")}) == {"key": Kept(has_state=True)}
    assert later.record("key", "less").scores == first.scores


def test_an_evaluation_of_other_data_will_not_do(store: Store) -> None:
    both = Store(store.folder.uri, {"old": {"data a": "1"}, "new": {"data a": "2"}})
    both.folder = store.folder
    both.write_evaluations()
    both.save(replace(RECORD, evaluation="old"), None)
    assert not both.finished({"key": unit("new")})["key"].has_scores


def unit(evaluation: str) -> Unit:
    return Unit(
        key="key", kind="train", backbone="clip", method="finetune", replicate=0, seed=0,
        prefix=("a",), parents=(), evaluation=evaluation,
    )  # fmt: skip
