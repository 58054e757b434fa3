"""Files that are made once per machine and then read by all processes of a user."""

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_user = getattr(os, "getuid", getpass.getuser)()
CACHE = Path(tempfile.gettempdir()) / f"task-order-sweep-{_user}"
"""Prepared images, embeddings, similarity matrices."""


@contextmanager
def appearing_complete(file: Path) -> Iterator[Path]:
    """Yields the path to write to; `file` appears once that is written, so it is never half there.

    Processes that start at the same time may each write; the last one wins.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "cache" / "numbers.txt"
    ...     with appearing_complete(file) as unfinished:
    ...         _ = unfinished.write_text("1 2 3")
    ...         print(file.exists())
    ...     print(file.read_text())
    False
    1 2 3
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Beside it, because a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        unfinished = Path(folder) / file.name
        yield unfinished
        os.replace(unfinished, file)
