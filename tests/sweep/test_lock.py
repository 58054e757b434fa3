"""Two drivers in one folder: the second is told, a dead one is not waited for."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweep.errors import InputError
from sweep.storage.folder import Folder
from sweep.storage.lock import MARKS, PATIENCE, RunLock


def occupy(
    out: Path, pid: int, host: str = platform.node(), silence: float = 1.0, slow: float = 0.0
) -> RunLock:
    """A folder in which another driver was last seen some seconds ago, by a clock that is slow."""
    mark = out / MARKS / "other.json"
    mark.parent.mkdir(parents=True, exist_ok=True)
    seen = time.time() - silence
    mark.write_text(json.dumps({"host": host, "pid": pid, "seen": seen - slow}))
    os.utime(mark, (seen, seen))
    return RunLock(Folder(str(out)))


def test_a_living_driver_is_named(tmp_path: Path) -> None:
    lock = occupy(tmp_path / "out", os.getppid())
    with pytest.raises(InputError, match=rf"process {os.getppid()} on {platform.node()}"):
        lock.check()


def test_a_driver_elsewhere_is_waited_for_as_long_as_it_may_live(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"on elsewhere .*try again in \d+ s"):
        occupy(tmp_path / "fresh", 1, "elsewhere").check()
    occupy(tmp_path / "stale", 1, "elsewhere", silence=PATIENCE + 1).check()


def test_clocks_of_other_machines_may_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"last seen 1 s ago.*try again in \d\d s"):
        occupy(tmp_path / "living", 1, "elsewhere", slow=3600).check()
    occupy(tmp_path / "dead", 1, "elsewhere", silence=PATIENCE + 1, slow=-3600).check()


def test_of_two_drivers_that_start_together_the_second_is_told(tmp_path: Path) -> None:
    second = RunLock(Folder(str(tmp_path / "out")))
    second.check()
    occupy(tmp_path / "out", os.getppid())  # while the second one starts Ray
    with pytest.raises(InputError, match="is in use by process"), second:
        pass
    assert [mark.name for mark in (tmp_path / "out" / MARKS).iterdir()] == ["other.json"]


def test_a_dead_driver_is_not_waited_for(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    occupy(tmp_path / "out", ended.pid).check()


def test_a_number_that_another_program_has_got_does_not_block_for_ever(tmp_path: Path) -> None:
    occupy(tmp_path / "out", os.getppid(), silence=PATIENCE + 1).check()


def test_the_mark_goes_with_the_driver(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "out"))
    with RunLock(folder):
        (mark,) = (tmp_path / "out" / MARKS).iterdir()
        assert json.loads(mark.read_text())["pid"] == os.getpid()
        RunLock(folder).check()  # its own
        folder.write(b"", "study.yaml")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["study.yaml"]


def test_a_folder_that_was_only_marked_goes_with_its_mark(tmp_path: Path) -> None:
    """As where Ray does not start: nothing was written."""
    with RunLock(Folder(str(tmp_path / "out"))):
        pass
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with RunLock(Folder(str(tmp_path / "out"))):
        pass
    assert (tmp_path / "out").exists()


def test_marks_of_killed_drivers_are_removed(tmp_path: Path) -> None:
    occupy(tmp_path / "out", 1, "elsewhere", silence=PATIENCE + 1)
    with RunLock(Folder(str(tmp_path / "out"))):
        (mark,) = (tmp_path / "out" / MARKS).iterdir()
        assert mark.name != "other.json"


@pytest.mark.parametrize("content", ["", '{"host": "else', "[]", "{}"])
def test_a_damaged_mark_may_be_that_of_a_living_driver(tmp_path: Path, content: str) -> None:
    for silence, age in (("living", 1.0), ("dead", PATIENCE + 1)):
        lock = occupy(tmp_path / silence, 1, "elsewhere", silence=age)
        mark = tmp_path / silence / MARKS / "other.json"
        written = mark.stat().st_mtime
        mark.write_text(content)
        os.utime(mark, (written, written))
        if silence == "living":
            with pytest.raises(InputError, match="is in use by a process"):
                lock.check()
        else:
            lock.check()


ENTER = """
import sys, time
from sweep.errors import InputError
from sweep.storage.folder import Folder
from sweep.storage.lock import RunLock
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    with RunLock(Folder(sys.argv[1])):
        print("in", flush=True)
        time.sleep(2)
except InputError:
    print("refused", flush=True)
"""


def test_never_two_of_many_drivers_that_start_at_once_are_in(tmp_path: Path) -> None:
    at = time.time() + 4
    command = [sys.executable, "-c", ENTER, str(tmp_path / "out"), str(at)]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [driver.communicate(timeout=60)[0].strip() for driver in drivers]
    assert said.count("in") <= 1
    assert set(said) <= {"in", "refused"}


def test_signs_of_life_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.storage.lock.BEAT", 0.01)
    with RunLock(Folder(str(tmp_path / "out"))):
        (mark,) = (tmp_path / "out" / MARKS).iterdir()
        first = json.loads(mark.read_text())["seen"]
        deadline = time.monotonic() + 30
        while json.loads(mark.read_text())["seen"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_place_where_nothing_can_be_made_is_one_sentence() -> None:
    """Its file system says beforehand that root may write there."""
    lock = RunLock(Folder("/proc/run"))
    with pytest.raises(InputError, match=r"--out '/proc/run' cannot be used: .*; give another"):
        lock.__enter__()
