"""Finds a study's backbones and identifies their weights without loading them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from sweep.errors import InputError, unknown
from sweep.hub import check_revision, commit_of, digest
from sweep.section import Section

if TYPE_CHECKING:
    from methods.backbones.base import Backbone

EMBEDDED = Path(__file__).parent.parent / "assets"
"""Folder of the backbones that ship with the package."""


class BackboneConfig(Section):
    """A pretrained vision-language model."""

    path: str = Field(
        description="'tiny-clip', 'tiny-clip-pictures', a Hugging Face id, or a local folder."
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    answer: Literal["score", "generate"] = Field(
        default="score",
        description="How fusion backbones answer: by the likeliest choice, or by greedy text.",
    )


@dataclass(frozen=True)
class Source:
    """A pinned backbone: it always loads the same weights."""

    config: BackboneConfig
    """As the study has it; its path is the same for every process."""
    commit: str | None
    """Of a repository on the hub; None for a folder."""
    fingerprint: str

    @property
    def location(self) -> str:
        """What transformers loads from; the folder of embedded backbones depends on the machine."""
        path = self.config.path
        return str(EMBEDDED / path) if path in embedded() else path

    def load(self) -> "Backbone":
        """Loads the backbone, on the CPU.

        Raises:
            ValueError: the model cannot be loaded, or is of no family that is supported.
        """
        from methods.backbones import load_backbone  # imports transformers, which plans need not

        config = self.config
        return load_backbone(self.location, self.commit, answer=config.answer)

    def verify(self) -> None:
        """Makes sure that what is about to be loaded is what the study was planned with.

        Raises:
            ValueError: files of a local folder have changed since.
        """
        if self.commit is None and digest(Path(self.location)) != self.fingerprint:
            raise ValueError(
                f"backbone '{self.config.path}': its files have changed since the study was "
                f"planned; run the study again to train with the new files"
            )


def embedded() -> list[str]:
    """Returns the names of the backbones that ship with the package."""
    return sorted(folder.name for folder in EMBEDDED.iterdir() if (folder / "config.json").exists())


def find_source(config: BackboneConfig) -> Source:
    """Pins down a backbone: an embedded name, a local folder, or a hub id.

    A local folder is identified by the content of its files, a hub id by its commit.

    Raises:
        InputError: there is no such backbone, or it cannot be reached.
    """
    if config.path in embedded():
        check_revision("backbone", config.path, config.revision)
        return Source(config, None, digest(EMBEDDED / config.path))
    folder = Path(os.path.expanduser(config.path))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"backbone '{config.path}': the folder holds no config.json.")
        check_revision("backbone", config.path, config.revision)
        here = config.model_copy(update={"path": str(folder.resolve())})
        return Source(here, None, digest(folder))
    if config.path.count("/") != 1 or config.path.startswith((".", "/", "~")):
        raise unknown("backbone (or hub id, or folder)", config.path, embedded())
    commit = commit_of("backbone", config.path, config.revision, "config.json")
    return Source(config, commit, f"{config.path}@{commit}")
