"""Data sets on the hub: what is fetched from a server that speaks as the hub does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import identify
from tests.sweep.hub_server import HubAnswers, serving
from tests.sweep.sources import (
    COMMIT,
    WHAT,
    isolate,
    labelled,
    numbers,
    open_split,
    refusal,
)


class Hub(HubAnswers):
    """Answers as the hub does, for one data set."""

    root: ClassVar[Path]
    fetched: ClassVar[list[str]]

    def answer(self, whole: bool) -> None:
        """Gives a file, or a list of files."""
        path = unquote(urlsplit(self.path).path)
        files = [file for file in sorted(self.root.rglob("*")) if file.is_file()]
        names = {file.relative_to(self.root).as_posix(): file for file in files}
        if path == "/api/datasets/me/data/revision/v1":
            self.send(json.dumps({"id": "me/data", "sha": COMMIT}).encode(), whole)
        elif path.startswith(f"/api/datasets/me/data/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
                for name, file in names.items()
            ]
            self.send(json.dumps(tree).encode(), whole)
        elif path.startswith("/datasets/me/data/resolve/"):
            name = path.split("/", 6)[6]
            if name in names:
                if whole:
                    self.fetched.append(name)
                self.send(names[name].read_bytes(), whole)
            else:
                self.send(b"", whole, 404, "EntryNotFound")
        else:
            self.send(b"", whole, 404, "RepoNotFound")


@pytest.fixture
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub with the data set me/data."""
    Hub.root, Hub.fetched = tmp_path / "remote", []
    isolate(tmp_path, monkeypatch)
    with serving(Hub, monkeypatch):
        yield


@pytest.mark.usefixtures("_hub")
def test_only_the_files_of_a_split_are_fetched_and_then_no_network_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "remote" / "data"
    data.mkdir(parents=True)
    labelled([0, 1]).to_parquet(data / "test-00000-of-00001.parquet")
    labelled([0]).to_parquet(data / "train-00000-of-00001.parquet")
    (tmp_path / "remote" / ".gitattributes").write_text("x")
    (tmp_path / "remote" / "README.md").write_text("# Data\n")
    capfd.readouterr()
    source = {"path": "me/data", "revision": "v1"}
    expected = {".gitattributes", "README.md", "data/test-00000-of-00001.parquet"}
    for is_away in (False, True):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", is_away)
        assert numbers(open_split(source, "test")) == [0, 1]
        assert identify(TaskSource.model_validate(source), WHAT) == COMMIT
        assert set(Hub.fetched) == expected
        assert len(Hub.fetched) == len(expected)
    assert "'data/train-00000-of-00001.parquet' cannot be fetched" in refusal(source)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert f"{WHAT}: 'me/other' is neither a folder nor reachable on the hub" in refusal(
        {"path": "me/other"}
    )
    assert capfd.readouterr() == ("", "")  # no bars
