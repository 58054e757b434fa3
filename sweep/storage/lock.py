"""Keeps a second driver out of a folder: each would delete what the other has just written."""

import json
import os
import platform
import threading
import time
from contextlib import suppress

from sweep.errors import InputError
from sweep.storage.folder import Folder

NAME = "running.json"
"""The lock's file in the run folder."""
BEAT = 15.0
"""Seconds between two heartbeats of a driver."""
PATIENCE = 4 * BEAT
"""Seconds without a heartbeat after which a driver is taken for dead."""


class RunLock:
    """Marks the folder as in use by this process while the context is open."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def other(self) -> tuple[str, float] | None:
        """Returns the other process at work in the folder, if any, and seconds since its beat."""
        if not self.folder.exists(NAME):
            return None
        other = json.loads(self.folder.read(NAME))
        # When the file system says so: the clock of the other machine may be wrong.
        written = self.folder.filesystem.get_file_info(self.folder.join(NAME)).mtime
        silence = time.time() - (written.timestamp() if written else other["seen"])
        here = other["host"] == platform.node()
        if silence > PATIENCE or (here and not _lives(other["pid"])):
            return None
        return f"process {other['pid']} on {other['host']}", silence

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
        self.check()  # once more: between the first look and now Ray took seconds to start
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.folder.delete(NAME)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):  # the next heartbeat may succeed
                self._write()

    def _write(self) -> None:
        facts = {"host": platform.node(), "pid": os.getpid(), "seen": time.time()}
        self.folder.write(json.dumps(facts).encode(), NAME)


def _lives(pid: int) -> bool:
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
