"""A reference pool from a Hugging Face data set: on the hub, or a folder of images."""

import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
from huggingface_hub import dataset_info
from pydantic import Field, field_validator

from methods.data import Images
from sweep.errors import InputError, unknown
from sweep.tasks.base import ReferenceConfig

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Dataset(ReferenceConfig):
    """Images with captions, or with class names, of any data set that `datasets` loads."""

    name: Literal["dataset"] = "dataset"
    path: str = Field(description="Hub id, or a folder (classes as sub-folders, or metadata.csv).")
    subset: str | None = Field(default=None, description="Configuration of a hub data set.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    split: str = Field(default="train", description="The split to draw from.")
    image: str = Field(default="image", description="Column of the images.")
    caption: str = Field(default="label", description="Column of captions, or of class labels.")
    template: str = Field(
        default="a photo of a {}.", description="Makes a caption of a class label's name."
    )
    size: int = Field(default=1000, ge=1, description="Pairs drawn, at most as many as there are.")
    seed: int = Field(default=0, description="Another seed draws other pairs.")

    @field_validator("path")
    @classmethod
    def _same_place_for_every_process(cls, value: str) -> str:
        folder = Path(value).expanduser()
        return str(folder.absolute()) if folder.is_dir() else value

    def fingerprint(self) -> str:
        """SHA-256 of the settings and of the folder's files, or the hub's commit."""
        return hashlib.sha256(repr((self.model_dump(), self._version)).encode()).hexdigest()

    @cached_property
    def _version(self) -> str:
        """Which data these are.

        Raises:
            InputError: there is no such folder, and the hub does not know it either.
        """
        folder = Path(self.path)
        if folder.is_dir():
            digest = hashlib.sha256()
            for file in sorted(file for file in folder.rglob("*") if file.is_file()):
                digest.update(file.relative_to(folder).as_posix().encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            return digest.hexdigest()
        if self.revision and _COMMIT.fullmatch(self.revision):
            return self.revision
        try:
            commit = dataset_info(self.path, revision=self.revision).sha
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"reference '{self.path}' is neither a folder nor reachable on the hub "
                f"(without a network give `revision` as a commit): {reason}"
            ) from None
        return str(commit)

    def check(self) -> None:
        """Draw the pairs and look at the first.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        self._version  # noqa: B018  a folder or hub id that is not there is said first
        images, _ = self.load()
        images[0]

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Draw the pairs; images are decoded when asked for.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        data = self._open()
        for column in (self.image, self.caption):
            if column not in data.column_names:
                raise unknown(f"column of reference '{self.path}'", column, data.column_names)
        if not isinstance(data.features[self.image], datasets.Image):
            raise InputError(f"reference '{self.path}': column '{self.image}' holds no images.")
        rng = np.random.default_rng(self.seed)
        drawn = data.select(np.sort(rng.permutation(len(data))[: self.size]))
        pictures: Any = _Pictures(drawn, self.image)
        return pictures, self._captions(drawn)

    def _open(self) -> Any:
        folder = Path(self.path).is_dir()
        try:
            if folder:
                return datasets.load_dataset("imagefolder", data_dir=self.path, split=self.split)
            return datasets.load_dataset(
                self.path, self.subset, revision=self._version, split=self.split
            )
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"reference '{self.path}' cannot be loaded: {reason}") from None

    def _captions(self, drawn: Any) -> tuple[str, ...]:
        feature, values = drawn.features[self.caption], drawn[self.caption]
        if isinstance(feature, datasets.ClassLabel):
            names = [feature.int2str(value).replace("_", " ") for value in values]
            return tuple(self.template.format(name) for name in names)
        # Some data sets give several captions of an image: the first serves.
        captions = [value[0] if isinstance(value, list) and value else value for value in values]
        if not all(isinstance(caption, str) for caption in captions):
            raise InputError(
                f"reference '{self.path}': column '{self.caption}' holds neither texts nor labels."
            )
        return tuple(captions)


class _Pictures:
    """Images of a data set, decoded at every access."""

    def __init__(self, data: Any, column: str) -> None:
        self._data, self._column = data, column

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        return self._data[int(index)][self._column]
