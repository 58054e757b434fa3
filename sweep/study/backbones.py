"""Finds a study's backbones and identifies their weights without loading them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from huggingface_hub.errors import RemoteEntryNotFoundError
from pydantic import Field

from sweep.errors import ChangedError, InputError, unknown
from sweep.fetched import here, is_uri
from sweep.hub import check_revision, commit_of, digest, has_file
from sweep.section import Section

if TYPE_CHECKING:
    from methods.backbones.base import Backbone

EMBEDDED = Path(__file__).parent.parent / "assets"
"""Folder of the backbones that ship with the package."""
OPEN_CLIP = "open_clip_config.json"
"""What models of OpenCLIP have in the place of config.json."""


class BackboneConfig(Section):
    """A pretrained vision-language model."""

    path: str = Field(
        description="'tiny-clip', 'tiny-clip-pictures', 'tiny-vlm', a Hugging Face id, or a folder "
        "or its URI."
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    answer: Literal["score", "generate"] = Field(
        default="score",
        description="How fusion backbones answer: by the likeliest choice, or by greedy text.",
    )
    image_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Height and width in pixels to which images are brought first, of fusion "
        "models that take images of any size; left out: one tile, or 448.",
    )
    dtype: Literal["fp32", "bf16"] = Field(
        default="fp32",
        description="Type that weights are kept in. With bf16, those that a method changes, and "
        "vectors such as norms and biases, stay in fp32.",
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] | None = Field(
        default=None,
        description="Implementation of attention in transformers, null: its own choice. Methods "
        "that put prompts into attention take sdpa.",
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
        return str(EMBEDDED / path) if path in embedded() else here(path)

    @property
    def identity(self) -> str:
        """What all that is computed with the weights depends on."""
        config = self.config
        how = {"dtype": config.dtype, "attention": config.attention}
        plain = BackboneConfig.model_fields
        given = [f"{key} {value}" for key, value in how.items() if value != plain[key].default]
        return ", ".join([self.fingerprint, *given])

    def load(self) -> "Backbone":
        """Loads the backbone, on the CPU.

        Raises:
            ValueError: the model cannot be loaded, or is of no family that is supported.
        """
        import torch  # plans need neither

        from methods.backbones import load_backbone

        config = self.config
        dtype = torch.bfloat16 if config.dtype == "bf16" else torch.float32
        return load_backbone(
            self.location,
            self.commit,
            dtype,
            config.answer,
            config.image_size,
            config.attention,
        )

    def verify(self) -> None:
        """Makes sure that what is about to be loaded is what the study was planned with.

        Raises:
            ChangedError: files of a local folder have changed since.
        """
        if self.commit is None and not Path(self.location).is_dir():
            raise ChangedError(f"backbone '{self.config.path}': there is no such folder any more")
        if self.commit is None and self.fingerprint != _identity(
            digest(Path(self.location)), self.config
        ):
            raise ChangedError(
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
        return Source(config, None, _identity(digest(EMBEDDED / config.path), config))
    folder = Path(os.path.expanduser(here(config.path)))
    if folder.is_dir():
        if (folder / OPEN_CLIP).is_file() and not (folder / "config.json").is_file():
            raise _open_clip(config.path)
        if not (folder / "config.json").is_file():
            raise InputError(f"backbone '{config.path}': the folder holds no config.json.")
        check_revision("backbone", config.path, config.revision)
        if is_uri(config.path):
            return Source(config, None, _identity(digest(folder), config))
        resolved = config.model_copy(update={"path": str(folder.resolve())})
        return Source(resolved, None, _identity(digest(folder), config))
    if config.path.count("/") != 1 or config.path.startswith((".", "/", "~")):
        raise unknown("backbone (or hub id, or folder)", config.path, embedded())
    try:
        commit = commit_of("backbone", config.path, config.revision, "config.json")
    except InputError as error:
        is_there = isinstance(error.__context__, RemoteEntryNotFoundError)
        if is_there and has_file(config.path, config.revision, OPEN_CLIP):
            raise _open_clip(config.path) from None
        raise
    return Source(config, commit, _identity(f"{config.path}@{commit}", config))


def _open_clip(path: str) -> InputError:
    """Returns what is said of a model that only OpenCLIP's own package loads, as MobileCLIP is."""
    return InputError(
        f"backbone '{path}' is an OpenCLIP model (it has {OPEN_CLIP} and no config.json), which "
        "transformers cannot load; give a copy in the form of transformers, such as "
        "'laion/CLIP-ViT-B-32-laion2B-s34B-b79K', of which many OpenCLIP models have one."
    )


def _identity(content: str, config: BackboneConfig) -> str:
    """Returns what identifies a backbone: what it was loaded from, and what is done otherwise."""
    size = config.image_size
    return content if size is None else f"{content}, images of {size} x {size}"
