"""Identifies the content of a hub id or a folder without loading it."""

import hashlib
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.constants import is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
)
from pydantic import AfterValidator

from sweep.errors import InputError
from sweep.file_digests import digests


def _same_place_for_every_process(path: str) -> str:
    folder = Path(os.path.expanduser(path))  # Path's own raises an error for an unknown home
    return str(folder.absolute()) if folder.is_dir() else path


ANSWER_SECONDS = 10.0
"""How long the hub may take to answer, before it counts as out of reach."""
_BUSY = (429, 500, 502, 503, 504)
"""What the hub answers for whatever is asked of it, for the time being."""

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
    silent = _silence(path, revision, file, repo_type)
    try:
        fetched = hf_hub_download(
            path, file, repo_type=repo_type, revision=revision, local_files_only=bool(silent)
        )
    except GatedRepoError:
        raise InputError(
            f"{what} '{path}' is gated: ask for access on its page on the hub, and log in with "
            "`hf auth login`."
        ) from None
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        said = str(error).strip().splitlines()[0].removesuffix(".")
        reason = said if isinstance(error, HFValidationError) else silent or said
        raise InputError(
            f"{what} '{path}' is neither a folder nor reachable on the hub: {reason}."
        ) from None
    return Path(fetched).parent.name  # the hub's cache has files in .../snapshots/COMMIT/


def _silence(path: str, revision: str | None, file: str, repo_type: str) -> str:
    """Returns why the hub does not answer; "" if it does, even if what it says is no.

    `hf_hub_download` goes on trying for minutes: six times, each up to a minute.
    """
    if is_offline_mode():
        return "HF_HUB_OFFLINE is set, and it is not in the cache"
    try:
        url = hf_hub_url(path, file, repo_type=repo_type, revision=revision)
        get_hf_file_metadata(url, timeout=ANSWER_SECONDS)
    except HFValidationError:
        return ""  # it is no hub id
    except HfHubHTTPError as error:
        status = error.response.status_code
        return f"the hub answers with error {status}" if status in _BUSY else ""
    except Exception as error:  # of the library that the hub's client uses for the network
        return (
            f"the hub does not answer within {ANSWER_SECONDS:g} seconds "
            f"({type(error).__name__}), and it is not in the cache"
        )
    return ""


def has_file(path: str, revision: str | None, file: str) -> bool:
    """Returns whether a repository that is there, on a hub that answers, has a file."""
    try:
        get_hf_file_metadata(hf_hub_url(path, file, revision=revision), timeout=ANSWER_SECONDS)
    except RemoteEntryNotFoundError:
        return False
    return True


def check_revision(what: str, path: str, revision: str | None) -> None:
    """Makes sure that a revision is given only for what is on the hub, not for a folder.

    Raises:
        InputError: it is given for a folder, of which there is only what is there.
    """
    if revision is not None:
        raise InputError(
            f"{what} '{path}' is a folder, and revision '{revision}' would be one of the hub; "
            "leave revision out, or give the hub id."
        )


NO_PART_OF_A_MODEL = (
    *("README*", "LICENSE*", "LICENCE*", "NOTICE*", "*.md", "*.png", "*.jpg", "*.jpeg", "*.gif"),
    *("optimizer.*", "scheduler.*", "scaler.*", "rng_state*", "trainer_state.json"),
    *("training_args.*", "*.log", "events.out.tfevents.*", "*.tmp", "*.lock", "*.incomplete"),
    *("*.h5", "*.msgpack", "*.ot", "*.onnx", "*.onnx_data", "*.tflite", "*.mlmodel", "*.gguf"),
)
"""Files beside a model that it is not loaded from: texts and pictures for people, what is left of a
training, and weights for other libraries."""
_NO_FOLDERS = ("__pycache__", "runs", "logs", "checkpoint-*", "global_step*", "onnx", "openvino")
"""Folders with nothing else in them."""


def digest(folder: Path) -> str:
    """Returns the SHA-256 of names and contents of the files that a model is loaded from.

    These are all files but hidden ones and NO_PART_OF_A_MODEL: what is not known to be noise, such
    as a new kind of template, counts.

    Raises:
        InputError: a file cannot be read.
    """
    shown = {
        file.relative_to(folder).as_posix(): str(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and _is_part(file.relative_to(folder))
    }
    contents = digests(list(shown.values()))
    found = hashlib.sha256()
    for name, file in shown.items():
        found.update(os.fsencode(name))
        found.update(contents[file])
    return found.hexdigest()


def _is_part(file: Path) -> bool:
    if any(part.startswith(".") for part in file.parts):
        return False
    if any(fnmatch(part, one) for part in file.parts[:-1] for one in _NO_FOLDERS):
        return False
    return not any(fnmatch(file.name, one) for one in NO_PART_OF_A_MODEL)
