"""Where weights and data are, and exactly which ones, without loading them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from pydantic import AfterValidator

from sweep.errors import InputError, unknown

if TYPE_CHECKING:
    from sweep.study import BackboneConfig

EMBEDDED = Path(__file__).parent / "assets"


def _same_place_for_every_process(path: str) -> str:
    folder = Path(path).expanduser()
    return str(folder.absolute()) if folder.is_dir() else path


HubOrFolder = Annotated[str, AfterValidator(_same_place_for_every_process)]
"""A hub id, or the absolute path of a folder."""


@dataclass(frozen=True)
class Source:
    """A pinned backbone: the same `path` and `revision` always load the same weights."""

    path: str
    revision: str | None
    fingerprint: str

    @property
    def location(self) -> str:
        """What transformers loads from; embedded backbones lie elsewhere on every machine."""
        return str(EMBEDDED / self.path) if self.path in embedded() else self.path

    def verify(self) -> None:
        """Make sure that what is about to be loaded is what the study was planned with.

        Raises:
            ValueError: files of a local folder have changed since.
        """
        if self.revision is None and digest(Path(self.location)) != self.fingerprint:
            raise ValueError(
                f"backbone '{self.path}': its files have changed since the study was planned; "
                f"run the study again, which trains with the new ones"
            )


def embedded() -> list[str]:
    """Names of the backbones that ship with the package."""
    return sorted(folder.name for folder in EMBEDDED.iterdir() if (folder / "config.json").exists())


def find_source(config: "BackboneConfig") -> Source:
    """Pin down a backbone: an embedded name, a local folder, or a hub id.

    A local folder is identified by the content of its files, a hub id by its commit.

    Raises:
        InputError: there is no such backbone, or it cannot be reached.
    """
    if config.path in embedded():
        return Source(config.path, None, digest(EMBEDDED / config.path))
    folder = Path(config.path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"backbone '{config.path}': the folder holds no config.json.")
        return Source(str(folder.resolve()), None, digest(folder))
    if config.path.count("/") != 1 or config.path.startswith((".", "/", "~")):
        raise unknown("backbone (or hub id, or folder)", config.path, embedded())
    commit = commit_of("backbone", config.path, config.revision, "config.json")
    return Source(config.path, commit, f"{config.path}@{commit}")


def commit_of(
    what: str,
    path: str,
    revision: str | None,
    file: str,
    repo_type: Literal["model", "dataset"] = "model",
) -> str:
    """The commit that a hub id stands for now; without a network, when it was last looked up.

    Args:
        what: What the hub id is given for, to be named in errors.
        path: The hub id.
        revision: Branch, tag or commit; None: the main branch.
        file: A small file that every such repository has; it is fetched.
        repo_type: Which part of the hub.

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
    return Path(fetched).parent.name


MODEL_FILES = (".json", ".safetensors", ".bin", ".txt", ".model")


def digest(folder: Path, suffixes: tuple[str, ...] = MODEL_FILES) -> str:
    """SHA-256 of the names and contents of a folder's files; of all of them without suffixes."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and (not suffixes or file.suffix in suffixes):
            found.update(file.relative_to(folder).as_posix().encode())
            with file.open("rb") as stream:
                found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()
