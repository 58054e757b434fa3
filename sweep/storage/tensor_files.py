"""Writes tensors into files of a folder, and makes sure that what is read is what was written."""

import hashlib
from typing import TYPE_CHECKING

from sweep.storage.folder import DamagedError, Folder

if TYPE_CHECKING:
    from methods.base import State


def write_tensors(folder: Folder, state: "State", *parts: str) -> tuple[int, str]:
    """Writes CPU tensors by name; returns the bytes of the file and its SHA-256."""
    from safetensors.torch import save_file  # imports torch, unneeded by the coordinator

    with folder.new_file(*parts) as file:
        save_file(state, file)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return file.stat().st_size, digest


def read_tensors(folder: Folder, sha256: str, *parts: str) -> "State":
    """Returns what `write_tensors` wrote.

    Raises:
        FileNotFoundError: the file is gone.
        DamagedError: it is not what was written.
    """
    from safetensors.torch import load, load_file

    file, content = folder.local(*parts), b""
    if file:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    else:
        content = folder.read(*parts)
        digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DamagedError(f"'{folder.join(*parts)}' is not what was written")
    state: State = load_file(file) if file else load(content)
    # Copied to where torch allocates: sums over data that lie otherwise round otherwise.
    return {name: tensor.clone() for name, tensor in state.items()}
