"""Remembered digests: nothing unchanged is read twice, and nothing that changed is accepted."""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from sweep import file_digests
from sweep.errors import InputError
from sweep.file_digests import digests, known, note
from sweep.hub import digest


class Readings:
    """The files that were read, rather than remembered."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self._lock = threading.Lock()
        self._read = file_digests._read

    def __call__(self, file: str) -> object:
        with self._lock:
            self.files.append(Path(file).name)
        return self._read(file)

    def since(self) -> list[str]:
        """Those since the last call, sorted."""
        found, self.files = sorted(self.files), []
        return found


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A memory of its own, which trusts files at once."""
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "cache" / "memory.sqlite")
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", -60.0)
    return file_digests.MEMORY


@pytest.fixture
def unsampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "SAMPLE_FILES", 0)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    found = Readings()
    monkeypatch.setattr(file_digests, "_read", found)
    return found


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.jpg").write_bytes(bytes([i]) * 100)
    return [str(folder / f"{i}.jpg") for i in range(5)]


def expected(files: Iterable[str]) -> dict[str, bytes]:
    return {file: hashlib.sha256(Path(file).read_bytes()).digest() for file in files}


@pytest.mark.usefixtures("unsampled")
def test_what_has_not_changed_is_not_read_again(files: list[str], readings: Readings) -> None:
    assert digests(files) == expected(files)
    assert readings.since() == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert digests(files[::-1]) == expected(files[::-1])
    assert readings.since() == []


@pytest.mark.usefixtures("unsampled")
def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "_SMALL", 10)
    file = tmp_path / "large"
    file.write_bytes(os.urandom(100_000))
    assert digests([str(file)]) == expected([str(file)])


@pytest.mark.usefixtures("unsampled")
def test_a_change_that_keeps_size_and_time_is_seen(files: list[str], readings: Readings) -> None:
    digests(files)
    readings.since()
    before = os.stat(files[2])
    Path(files[2]).write_bytes(b"x" * 100)
    os.utime(files[2], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(files[2]).st_mtime_ns == before.st_mtime_ns
    assert digests(files) == expected(files)
    assert readings.since() == ["2.jpg"]


@pytest.mark.usefixtures("unsampled")
def test_a_file_put_in_the_place_of_another_is_seen(files: list[str], readings: Readings) -> None:
    digests(files)
    readings.since()
    os.replace(files[0], files[1])
    assert digests(files[1:]) == expected(files[1:])
    assert readings.since() == ["1.jpg"]


@pytest.mark.usefixtures("unsampled")
def test_what_changed_a_moment_ago_is_not_trusted(
    files: list[str], readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", 2.0)
    digests(files)
    readings.since()
    digests(files)
    assert len(readings.since()) == 5


@pytest.mark.usefixtures("unsampled")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    files: list[str], readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = hashlib.sha256

    def slow(content: bytes) -> object:
        Path(files[0]).write_bytes(b"y" * 50)
        return hashed(content)

    with monkeypatch.context() as patched:
        patched.setattr(file_digests.hashlib, "sha256", slow)
        digests(files[:1])
    readings.since()
    assert digests(files[:1]) == {files[0]: hashed(b"y" * 50).digest()}
    assert readings.since() == ["0.jpg"]


def test_a_sample_is_read_again_and_all_if_it_is_not_what_it_was(
    files: list[str], readings: Readings, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "SAMPLE_FILES", 3)
    digests(files)
    readings.since()
    digests(files)
    assert len(set(readings.since())) == 3
    with sqlite3.connect(memory) as table:  # as if clocks had been turned back
        table.execute("UPDATE files SET digest = x'00'")
    table.close()
    assert digests(files) == expected(files)
    assert set(readings.since()) == {"0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"}


def test_a_sample_is_small(
    files: list[str], readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "SAMPLE_BYTES", 250)
    digests(files)
    readings.since()
    digests(files)
    assert len(readings.since()) == 2


@pytest.mark.parametrize("broken", [b"", b"no database at all, but long enough " * 40])
def test_a_broken_memory_is_made_anew(
    files: list[str], memory: Path, readings: Readings, broken: bytes
) -> None:
    memory.parent.mkdir()
    memory.write_bytes(broken)
    assert digests(files) == expected(files)
    assert digests(files) == expected(files)
    contents = set(expected(files).values())
    note("seen", contents)
    assert known("seen", contents) == contents
    readings.since()
    digests(files)
    assert len(readings.since()) == len(files)  # the sample alone


def test_without_a_place_to_remember_files_are_read(
    files: list[str], memory: Path, readings: Readings
) -> None:
    memory.parent.write_text("a file where a folder should be")
    for _ in range(2):
        assert digests(files) == expected(files)
        assert len(readings.since()) == len(files)
    contents = set(expected(files).values())
    note("seen", contents)
    assert known("seen", contents) == set()


@pytest.mark.usefixtures("unsampled")
def test_a_locked_memory_is_read_past(
    files: list[str], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests(files[:1])
    monkeypatch.setattr(file_digests, "_LOCK_SECONDS", 0.05)
    other = sqlite3.connect(memory, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert digests(files) == expected(files)
    finally:
        other.close()


def _digests_in_a_process(files: list[str], memory: Path) -> dict[str, bytes]:
    file_digests.MEMORY = memory
    file_digests.SETTLED_SECONDS = -60.0
    return digests(files)


def test_several_processes_may_remember_at_once(tmp_path: Path, memory: Path) -> None:
    files = [str(tmp_path / f"{i}") for i in range(200)]
    for i, file in enumerate(files):
        Path(file).write_text(str(i))
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_digests_in_a_process, [files] * 3, [memory] * 3))
    assert found == [expected(files)] * 3
    with sqlite3.connect(memory) as table:
        assert table.execute("SELECT count(*) FROM files").fetchone() == (200,)
    table.close()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone' cannot be read: No such file or directory\.$"):
        digests([str(tmp_path / "gone")])
    with pytest.raises(InputError, match=r"cannot be read: Is a directory\.$"):
        digests([str(tmp_path)])


@pytest.mark.usefixtures("unsampled")
def test_names_may_be_any_bytes(tmp_path: Path, readings: Readings) -> None:
    file = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    Path(file).write_text("x")
    assert digests([file]) == digests([file]) == expected([file])
    assert len(readings.since()) == 1


def test_facts_hold_for_contents_wherever_they_are() -> None:
    contents = [bytes([i, j]) for i in range(40) for j in range(40)]
    note("decoded", contents[:900])
    note("decoded", contents[:10])
    assert known("decoded", contents) == set(contents[:900])
    assert known("another fact", contents) == set()


@pytest.mark.usefixtures("unsampled")
def test_folders_of_models_are_read_once(tmp_path: Path, readings: Readings) -> None:
    model = tmp_path / "model"
    (model / "sub").mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"1" * 1000)
    (model / "sub" / "chat_template.jinja").write_text("{{ messages }}")
    before = digest(model)
    assert len(readings.since()) == 2
    assert digest(model) == before
    assert readings.since() == []
    (model / "README.md").write_text("for people")
    (model / ".cache").mkdir()
    (model / ".cache" / "download.json").write_text("{}")
    assert digest(model) == before
    (model / "sub" / "chat_template.jinja").write_text("{{ message }}")
    assert digest(model) != before
