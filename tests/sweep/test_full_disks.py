"""Disks that are full: one sentence, and nothing of ours left behind that keeps them full."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from methods.testing.toy import TOY
from sweep import cache
from sweep.cache import LAST_USED, LIMIT, PLACE, appearing_complete, is_full, make_room, open_cache
from sweep.cli.main import main
from sweep.errors import InputError, NoRoomError
from sweep.storage.store import Record, Store
from sweep.tasks.pixels import Rows, made_once

MB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def rows(megabytes: float, made: list[int]) -> Rows:
    """Rows of 64 KB, which count what was made of them."""

    def parts() -> Iterator[np.ndarray]:
        for number in range(int(megabytes * 16)):
            made.append(number)
            yield np.zeros((1, MB // 16), np.uint8)

    shape = (int(megabytes * 16), MB // 16)
    return Rows(shape, np.dtype(np.uint8), parts(), "prepared images")


def large(folder: Path, name: str, age: float = 0.0, megabytes: float = 1.0) -> Path:
    """A large file of the cache, last used so many seconds ago."""
    file = folder / f"{name * 64}.npy"
    file.write_bytes(bytes(int(megabytes * MB)))
    os.utime(file, (time.time() - age,) * 2)
    return file


def test_a_cache_that_is_too_small_is_one_sentence(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room is taken before rows are made; so it is where the system tells another number."""
    usage, made = shutil.disk_usage(small_disk), list[int]()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=9 * MB))
    with pytest.raises(NoRoomError, match=rf"48 prepared images take .* set {PLACE} to"):
        made_once(small_disk / "x.npy", lambda: rows(3, made))
    assert made == []
    assert {file.suffix for file in small_disk.iterdir()} == {".lock"}
    kept = made_once(small_disk / "x.npy", lambda: rows(1, made))
    assert kept is not None
    assert kept.shape == (16, MB // 16)
    with pytest.raises(NoRoomError), appearing_complete(small_disk / "y") as unfinished:
        unfinished.write_bytes(bytes(2 * MB))
    assert sorted(file.name for file in small_disk.iterdir()) == ["x.lock", "x.npy"]


def test_a_full_disk_makes_room_by_what_was_not_used_for_long(small_disk: Path) -> None:
    old = large(small_disk, "a", LAST_USED + 9)
    with pytest.raises(NoRoomError):
        made_once(small_disk / f"{'b' * 64}.npy", lambda: rows(3, []))
    assert not old.exists()
    new = large(small_disk, "a")
    with pytest.raises(NoRoomError):
        made_once(small_disk / f"{'b' * 64}.npy", lambda: rows(1.5, []))
    assert new.exists()


def test_a_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest files go first; none goes that was used within a day, and no small one."""
    ages = {"a": 3, "b": 5, "c": 4, "d": 0}
    files = {name: large(tmp_path, name, age * LAST_USED) for name, age in ages.items()}
    (tmp_path / "similarity-1.npy").write_bytes(b"")
    monkeypatch.setenv(LIMIT, str(3.2 * MB / 1e9))
    make_room(tmp_path, MB)
    assert [name for name, file in files.items() if file.exists()] == ["a", "d"]
    monkeypatch.setenv(LIMIT, "0")
    make_room(tmp_path, MB)
    assert [name for name, file in files.items() if file.exists()] == ["d"]
    assert (tmp_path / "similarity-1.npy").exists()
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(InputError, match="TASK_ORDER_SWEEP_CACHE_GB has to be a number, got"):
        make_room(tmp_path, 1)


def test_what_is_read_counts_as_used(tmp_path: Path) -> None:
    file = tmp_path / f"{'a' * 64}.npy"
    made_once(file, lambda: rows(1, []))
    os.utime(file, (0, 0))
    made_once(file, lambda: rows(1, []))
    assert time.time() - file.stat().st_mtime < LAST_USED


def test_the_place_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACE, str(tmp_path / "mine"))
    assert cache._place() == tmp_path / "mine"
    monkeypatch.delenv(PLACE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache._place() == tmp_path / "caches/task-order-sweep"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache._place() == tmp_path / ".cache/task-order-sweep"


def test_a_cache_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(tmp_path / "mine")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "mine").stat().st_uid + 1)
    message = f"mine' belongs to another user; set {PLACE} to a folder of your own"
    with pytest.raises(InputError, match=message):
        made_once(tmp_path / "mine/x.npy", lambda: rows(1, []))


def test_a_state_that_finds_no_room_is_told_from_a_worker_that_dies(small_disk: Path) -> None:
    """Safetensors raises an error of its own, which is none of the system's."""
    state = {"weight": torch.zeros(MB)}
    with pytest.raises(OSError, match="No space left on device") as raised:
        Store(str(small_disk / "out")).save(Record(key="k"), state)
    assert is_full(raised.value)
    assert not [*small_disk.rglob("*.tmp"), *small_disk.rglob("stage*.json")]


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_a_run_folder_on_a_full_disk_ends_the_study(
    small_disk: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study: dict[str, Any] = {
        "name": "full",
        "benchmark": {"name": TOY},
        "backbones": {"clip": {"path": str(models / "clip")}},
        "methods": ["finetune"],
        "design": {"name": "fixed", "orders": [["a", "b", "c"], ["c", "b", "a"]]},
        "training": {"steps": 2, "batch_size": 8},
        "lanes": {"count": 1, "cpus_per_worker": 1},
        "keep_states": "all",
    }
    file, out = tmp_path / "study.yaml", str(small_disk / "out")
    file.write_text(yaml.safe_dump(study))
    held = small_disk / "held"
    held.write_bytes(bytes(2 * MB - 200_000))  # no room for a state
    assert main(["plan", str(file), "--out", out]) == 0
    assert "The disk is too small: states take up to" in capsys.readouterr().out
    assert main(["run", str(file), "--out", out]) == 1
    said = capsys.readouterr()
    assert "No space left on device" in said.out + said.err
    assert "Traceback (" not in said.out + said.err
    assert "Resume with: " in said.out or "Retry them with: " in said.out
    assert not [*small_disk.rglob("*.tmp")]
    held.unlink()
    if subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=False).returncode:
        return
    assert main(["run", str(file), "--out", out]) == 0
