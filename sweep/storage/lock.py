"""Keeps a second driver out of a folder: each would delete what the other has just written.

OUT/running/ID.json   the mark of a driver, which it renews as long as it lives; it also says what
                      the driver alone knows: how many lanes it has, and what they lost

A driver first writes its mark and then looks for others, so that of two which come at the same time
at least one sees the other. Ages of marks are told by the file system's clock alone: those of the
machines may be wrong.
"""

import json
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from pyarrow import fs

from sweep.cache import is_full
from sweep.errors import InputError
from sweep.storage.folder import DamagedError, Folder

MARKS = "running"
"""The folder of the marks in the run folder."""
BEAT = 15.0
"""Seconds between two heartbeats of a driver."""
PATIENCE = 4 * BEAT
"""Seconds without a heartbeat after which a driver is taken for dead."""


class RunLock:
    """Marks the folder as in use by this process while the context is open."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._name = f"{uuid.uuid4().hex}.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._noted: dict[str, Any] = {}

    def note(self, **facts: object) -> None:
        """Has facts about the run written into the mark: the first at once, others as it beats."""
        is_first, self._noted = not self._noted, facts
        if is_first:
            with suppress(OSError):  # the next heartbeat may succeed
                self._write()

    def noted(self) -> dict[str, Any]:
        """Returns what the newest mark says, that of a process which has died included; else {}.

        Among it "at": when it was written, in seconds by the clock of the file system.
        """
        for info in sorted(self._marks(), key=lambda info: _seconds(info.mtime), reverse=True):
            if facts := self._facts(info.base_name):
                return facts | {"at": _seconds(info.mtime)}
        return {}

    def other(self) -> tuple[str, float] | None:
        """Returns the other process at work in the folder, if any, and seconds since its beat."""
        marks = {info.base_name: info.mtime for info in self._marks()}
        now = _seconds(marks.pop(self._name)) if self._name in marks else time.time()
        for name, written in marks.items():
            silence = now - _seconds(written)
            facts = self._facts(name)
            if silence > PATIENCE or facts is None:
                continue
            if facts.get("host") != platform.node() or lives(facts.get("pid", 0)):
                doing = f"process {facts['pid']} on {facts['host']}" if facts else "a process"
                return doing, max(0.0, silence)
        return None

    def check(self) -> None:
        """Makes sure that the folder is free.

        Raises:
            InputError: another process works in it.
        """
        if other := self.other():
            process, silence = other
            raise InputError(
                f"--out '{self.folder.uri}' is in use by {process} (last seen {silence:.0f} s "
                f"ago); wait for it, give a new folder, or, if it was killed, try again in "
                f"{PATIENCE - silence:.0f} s."
            )

    def __enter__(self) -> "RunLock":
        self._new = not self.folder.exists()
        try:
            self._write()
        except OSError as error:  # a file system that lets nobody write, whatever it says before
            if is_full(error):
                raise
            raise InputError(
                f"--out '{self.folder.uri}' cannot be used: {str(error).splitlines()[0]}; give "
                f"another folder."
            ) from None
        try:
            self.check()
        except InputError:
            self._withdraw()
            raise
        for info in self._marks():  # of drivers that were killed
            if info.base_name != self._name:
                self.folder.delete(MARKS, info.base_name)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._withdraw()

    def _withdraw(self) -> None:
        self.folder.delete(MARKS, self._name)
        if isinstance(self.folder.filesystem, fs.LocalFileSystem):  # object stores have no folders
            with suppress(OSError):  # others are in it
                Path(self.folder.join(MARKS)).rmdir()
                if self._new:
                    Path(self.folder.path).rmdir()

    def _marks(self) -> list[fs.FileInfo]:
        return [info for info in self.folder.list(MARKS) if info.base_name.endswith(".json")]

    def _facts(self, name: str) -> dict[str, Any] | None:
        """Returns what a mark says; {} if it is damaged, None if it has gone meanwhile."""
        try:
            facts = self.folder.read_json(MARKS, name)
        except FileNotFoundError:
            return None
        except DamagedError:
            return {}
        return facts if isinstance(facts, dict) and {"host", "pid"} <= facts.keys() else {}

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):  # the next heartbeat may succeed
                self._write()

    def _write(self) -> None:
        own = {"host": platform.node(), "pid": os.getpid(), "seen": time.time()}
        facts = self._noted | own
        self.folder.write(json.dumps(facts).encode(), MARKS, self._name)


def _seconds(written: datetime | None) -> float:
    return written.timestamp() if written else time.time()


def lives(pid: int) -> bool:
    """Returns whether another process on this machine has this number."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
