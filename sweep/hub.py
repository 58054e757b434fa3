"""Identifies the content of a hub id or a folder without loading it."""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Literal

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from pydantic import AfterValidator

from sweep.errors import InputError
from sweep.file_digests import digests


def _same_place_for_every_process(path: str) -> str:
    folder = Path(os.path.expanduser(path))  # Path's own raises an error for an unknown home
    return str(folder.absolute()) if folder.is_dir() else path


HubOrFolder = Annotated[str, AfterValidator(_same_place_for_every_process)]
"""A hub id, or the absolute path of a folder."""


def commit_of(
    what: str,
    path: str,
    revision: str | None,
    file: str,
    repo_type: Literal["model", "dataset"] = "model",
) -> str:
    """Returns the commit a hub id stands for; without a network, the one last looked up.

    Args:
        what: What the hub id is for; errors name it.
        path: The hub id.
        revision: Branch, tag or commit; None: the main branch.
        file: A small file that every such repository has; it is fetched.
        repo_type: Kind of repository on the hub.

    Raises:
        InputError: it cannot be found.
    """
    try:
        fetched = hf_hub_download(path, file, repo_type=repo_type, revision=revision)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise InputError(
            f"{what} '{path}' is neither a folder nor reachable on the hub: {reason}."
        ) from None
    return Path(fetched).parent.name  # the hub's cache has files in .../snapshots/COMMIT/


MODEL_FILES = (
    *(".json", ".safetensors", ".bin", ".pt", ".pth"),  # configuration and weights
    *(".txt", ".model", ".tiktoken", ".bpe", ".vocab", ".spm", ".gz", ".jinja"),  # tokenizers
    ".py",  # code of a model that transformers does not have
)
"""Suffixes of the files that a model is loaded from; a README may change."""


def digest(folder: Path, suffixes: tuple[str, ...] = MODEL_FILES) -> str:
    """Returns the SHA-256 of names and contents of a folder's files; `()` takes all files.

    Hidden files and folders do not count.

    Raises:
        InputError: a file cannot be read.
    """
    shown = {
        file.relative_to(folder).as_posix(): str(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and (not suffixes or file.suffix in suffixes)
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    }
    contents = digests(list(shown.values()))
    found = hashlib.sha256()
    for name, file in shown.items():
        found.update(os.fsencode(name))
        found.update(contents[file])
    return found.hexdigest()
