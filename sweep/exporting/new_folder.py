"""Makes folders that are complete or not there."""

import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import InputError
from sweep.storage.folder import Folder
from sweep.storage.lock import lives


def check_new_folder(to: str) -> Path:
    """Returns where a folder is to be made.

    Raises:
        InputError: something is there already, or nothing can be written there.
    """
    if "://" in to:
        raise InputError(f"--to '{to}' is a URI; give a folder on this machine.")
    folder = Path(os.path.abspath(os.path.expanduser(to)))
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"--to '{to}' exists and is not empty; give a new folder.")
    if obstacle := Folder(str(folder)).obstacle():
        raise InputError(f"--to '{to}' cannot be used: {obstacle}; give another folder.")
    return folder


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder`, which takes its place once the context has ended well.

    If it ends with an error nothing is left. What a process that was killed left behind goes when
    the next one begins.

    Raises:
        InputError: another process has made `folder` meanwhile.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(folder)
    owner = f"{platform.node()}-{os.getpid()}"
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.{owner}.part")
    part.mkdir()
    try:
        yield part
        try:
            part.rename(folder)  # which may be there, if it is empty
        except OSError:
            if folder.is_dir() and any(folder.iterdir()):
                raise InputError(
                    f"--to '{folder}' was made by another process meanwhile."
                ) from None
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_left_behind(folder: Path) -> None:
    """Removes what processes of this machine left that were killed."""
    for part in folder.parent.glob(f".{folder.name}.*.{platform.node()}-*.part"):
        pid = part.name.removesuffix(".part").rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and not lives(int(pid)):
            shutil.rmtree(part, ignore_errors=True)
