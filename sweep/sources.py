"""Where a backbone's weights are, and exactly which ones, without loading them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from sweep.errors import InputError, unknown

if TYPE_CHECKING:
    from sweep.study import BackboneConfig

EMBEDDED = Path(__file__).parent / "assets"


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
        if self.revision is None and _digest(Path(self.location)) != self.fingerprint:
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
        return Source(config.path, None, _digest(EMBEDDED / config.path))
    folder = Path(config.path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"backbone '{config.path}': the folder holds no config.json.")
        return Source(str(folder.resolve()), None, _digest(folder))
    if config.path.count("/") != 1 or config.path.startswith((".", "/", "~")):
        raise unknown("backbone (or hub id, or folder)", config.path, embedded())
    try:
        cached = snapshot_download(
            config.path, revision=config.revision, allow_patterns=["config.json"]
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"backbone '{config.path}' is neither a folder nor reachable on the hub: {reason}"
        ) from None
    commit = Path(cached).name
    return Source(config.path, commit, f"{config.path}@{commit}")


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in (".json", ".safetensors", ".bin", ".txt", ".model"):
            digest.update(file.relative_to(folder).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
