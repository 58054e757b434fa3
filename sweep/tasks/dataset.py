"""Takes a reference pool from a Hugging Face data set: on the hub, or a folder of images."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from methods.data import Images
from sweep.errors import InputError, unknown
from sweep.hub import HubOrFolder, commit_of, digest
from sweep.tasks.base import ReferenceConfig, check_template


class Dataset(ReferenceConfig):
    """Images with captions, or with class names, of any data set that `datasets` loads."""

    name: str = "dataset"
    path: HubOrFolder = Field(
        description="Hub id, or a folder (classes as sub-folders, or metadata.csv)."
    )
    subset: str | None = Field(default=None, description="Configuration of a hub data set.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    split: str = Field(default="train", description="The split to draw from.")
    image: str = Field(default="image", description="Column of the images.")
    caption: str = Field(default="label", description="Column of captions, or of class labels.")
    template: str = Field(
        default="a photo of a {}.", description="Makes a caption of a class label's name."
    )
    size: int = Field(default=1000, ge=1, description="Pairs to draw; all if there are fewer.")
    seed: int = Field(default=0, ge=0, description="Another seed draws other pairs.")

    @field_validator("template")
    @classmethod
    def _has_a_place_for_the_class(cls, value: str) -> str:
        check_template(value)
        return value

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the settings, and of the folder's files or the hub's commit."""
        settings = self.model_dump(exclude={"path", "revision"})
        return hashlib.sha256(repr((settings, self._version)).encode()).hexdigest()

    @cached_property
    def _version(self) -> str:
        """Which data these are."""
        if self._is_folder:
            return digest(Path(self.path), suffixes=())
        return commit_of("reference", self.path, self.revision, ".gitattributes", "dataset")

    @property
    def _is_folder(self) -> bool:
        return Path(self.path).is_dir()

    def check(self) -> None:
        """Draws the pairs and looks at the first.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        images, _ = self.load()
        with self._said_in_one_sentence("its first image cannot be read"):
            images[0]

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Draws the pairs; images are decoded when asked for.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        import datasets  # slow to import, and seldom needed

        data = self._open()
        for column in (self.image, self.caption):
            if column not in data.column_names:
                raise unknown(f"column of reference '{self.path}'", column, data.column_names)
        if not isinstance(data.features[self.image], datasets.Image) or not len(data):
            raise InputError(f"reference '{self.path}': column '{self.image}' holds no images.")
        rng = np.random.default_rng(self.seed)
        drawn = data.select(np.sort(rng.permutation(len(data))[: self.size]))
        pictures: Any = _Pictures(drawn, self.image)
        return pictures, self._captions(drawn)

    def _open(self) -> Any:
        import datasets

        with self._said_in_one_sentence("it cannot be loaded"), _no_bars():
            if self._is_folder:
                return datasets.load_dataset("imagefolder", data_dir=self.path, split=self.split)
            return datasets.load_dataset(
                self.path, self.subset, revision=self._version, split=self.split
            )

    def _captions(self, drawn: Any) -> tuple[str, ...]:
        import datasets

        feature, values = drawn.features[self.caption], drawn[self.caption]
        if isinstance(feature, datasets.ClassLabel):
            with self._said_in_one_sentence(f"column '{self.caption}' lacks labels"):
                names = [feature.int2str(value).replace("_", " ") for value in values]
            return tuple(self.template.format(name) for name in names)
        # Some data sets have several captions per image; the first is used.
        captions = [value[0] if isinstance(value, list) and value else value for value in values]
        if not all(isinstance(caption, str) for caption in captions):
            raise InputError(
                f"reference '{self.path}': column '{self.caption}' holds neither texts nor labels."
            )
        return tuple(captions)

    @contextmanager
    def _said_in_one_sentence(self, problem: str) -> Iterator[None]:
        """Turns what `datasets` and decoders raise into an InputError."""
        import datasets

        raised = (OSError, ValueError, RuntimeError, SyntaxError, datasets.exceptions.DatasetsError)
        try:
            yield
        except raised as error:
            reason = str(error).strip().splitlines()[0].removesuffix(".")
            raise InputError(f"reference '{self.path}': {problem}: {reason}.") from None


@contextmanager
def _no_bars() -> Iterator[None]:
    """Hides progress bars, which would tear up what the command line prints."""
    import datasets

    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


class _Pictures:
    """Images of a data set, decoded at every access."""

    def __init__(self, data: Any, column: str) -> None:
        self._data, self._column = data, column

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        return self._data[int(index)][self._column]
