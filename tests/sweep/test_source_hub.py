"""Data sets on the hub: what is fetched from a server that speaks as the hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import identify
from tests.sweep.sources import (
    COMMIT,
    WHAT,
    isolate,
    labelled,
    numbers,
    open_split,
    refusal,
)


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does, for one data set."""

    root: ClassVar[Path]
    fetched: ClassVar[list[str]]

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        """Tells about a file."""
        self._answer(False)

    def do_GET(self) -> None:
        """Gives a file, or a list of files."""
        self._answer(True)

    def _answer(self, with_content: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        files = [file for file in sorted(self.root.rglob("*")) if file.is_file()]
        names = {file.relative_to(self.root).as_posix(): file for file in files}
        if path == "/api/datasets/me/data/revision/v1":
            self._send(json.dumps({"id": "me/data", "sha": COMMIT}).encode(), with_content)
        elif path.startswith(f"/api/datasets/me/data/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40}
                for name, file in names.items()
            ]
            self._send(json.dumps(tree).encode(), with_content)
        elif path.startswith("/datasets/me/data/resolve/"):
            name = path.split("/", 6)[6]
            if name in names:
                if with_content:
                    self.fetched.append(name)
                self._send(names[name].read_bytes(), with_content)
            else:
                self._send(b"", with_content, 404, "EntryNotFound")
        else:
            self._send(b"", with_content, 404, "RepoNotFound")

    def _send(self, content: bytes, whole: bool, status: int = 200, error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if whole:
            self.wfile.write(content)


@pytest.fixture
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub with the data set me/data."""
    Hub.root, Hub.fetched = tmp_path / "remote", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    isolate(tmp_path, monkeypatch)
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_XET", True)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


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
