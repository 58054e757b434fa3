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
from sweep.storage.lock import NAME, PATIENCE, RunLock


def occupy(
    out: Path, pid: int, host: str = platform.node(), silence: float = 1.0, slow: float = 0.0
) -> RunLock:
    """A folder in which another driver was last seen some seconds ago, by a clock that is slow."""
    out.mkdir(exist_ok=True)
    seen = time.time() - silence
    (out / NAME).write_text(json.dumps({"host": host, "pid": pid, "seen": seen - slow}))
    os.utime(out / NAME, (seen, seen))
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
    assert json.loads((tmp_path / "out" / NAME).read_text())["pid"] == os.getppid()


def test_a_dead_driver_is_not_waited_for(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    occupy(tmp_path / "out", ended.pid).check()


def test_a_number_that_another_program_has_got_does_not_block_for_ever(tmp_path: Path) -> None:
    occupy(tmp_path / "out", os.getppid(), silence=PATIENCE + 1).check()


def test_the_mark_goes_with_the_driver(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "out"))
    with RunLock(folder):
        assert json.loads(folder.read(NAME))["pid"] == os.getpid()
        RunLock(folder).check()  # its own
    assert not folder.exists(NAME)


def test_signs_of_life_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.storage.lock.BEAT", 0.01)
    folder = Folder(str(tmp_path / "out"))
    with RunLock(folder):
        first = json.loads(folder.read(NAME))["seen"]
        deadline = time.monotonic() + 30
        while json.loads(folder.read(NAME))["seen"] == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)
