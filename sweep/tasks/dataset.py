"""Takes a reference pool from a folder of images, or from what the package `datasets` loads."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from methods.data import Images
from sweep import file_digests
from sweep.errors import InputError
from sweep.fetched import here
from sweep.hub import HubOrFolder
from sweep.tasks.base import ReferenceConfig, check_template
from sweep.tasks.captioned_folder import SPLITS
from sweep.tasks.image_files import READABLE, Files, check_pictures, decode_all
from sweep.tasks.sources.source import Columns, TaskSource
from sweep.tasks.sources.table import Table, identify, open_table


class Dataset(ReferenceConfig):
    """Images with captions, or with class names.

    They come from the hub, or from a folder: of images (with captions in metadata.csv or
    metadata.jsonl, or with a sub-folder per class), of parquet files, or by `save_to_disk`.
    """

    name: str = "dataset"
    path: HubOrFolder = Field(
        description="Hub id; or a folder or its URI: of images, parquet files, or by save_to_disk."
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
        """Returns the SHA-256 of the settings and of the pairs, or of what they are drawn from."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        settings = self.model_dump(exclude={"path", "revision"})
        pictures = self._pictures
        if not isinstance(pictures, Files):
            facts = (settings, identify(self._source, "reference"))
            return hashlib.sha256(repr(facts).encode()).hexdigest()
        found = hashlib.sha256(repr((settings, self._captions)).encode())
        contents = file_digests.digests(pictures.files)
        for file in pictures.files:
            found.update(contents[file])
        return found.hexdigest()

    @property
    def _source(self) -> TaskSource:
        return TaskSource(
            path=here(self.path),
            config=self.subset,
            revision=self.revision,
            columns=Columns(image=self.image),
            train=None,
            test=self.split,
        )

    @cached_property
    def _table(self) -> Table:
        return open_table(self._source, self.split, "reference")

    @cached_property
    def _drawn(self) -> np.ndarray:
        """The rows to use: int64."""
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.permutation(len(self._table))[: self.size])

    def found(self) -> tuple[str, ...]:
        """Returns how many pairs there are."""
        used, of = len(self._drawn), len(self._table)
        return (f"Reference '{self.path}': {used:,} of {of:,} pairs are used.",)

    def warnings(self) -> tuple[str, ...]:
        """Returns what is left out and why."""
        return self._table.left_out

    def check(self) -> None:
        """Draws the pairs and decodes all their images once.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        images, _ = self.load()
        if isinstance(images, Files):
            check_pictures(file_digests.digests(images.files))
            return
        assert not isinstance(images, np.ndarray)  # no table holds pixels
        content = bytes.fromhex(self.fingerprint())
        if content not in file_digests.known(READABLE, {content}):
            decode_all(images)
            file_digests.note(READABLE, [content])

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Draws the pairs; images are decoded when asked for.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        for column in (self.image, self.caption):
            self._table.check_column(column)
        return self._pictures, self._captions

    @cached_property
    def _pictures(self) -> Images:
        return self._table.pictures(self.image, self._drawn)

    @cached_property
    def _captions(self) -> tuple[str, ...]:
        table = self._table
        names = table.class_names(self.caption)
        values = table.values(self.caption)
        rows = self._drawn.tolist()
        if names is None:
            return tuple(self._text(values[row], row) for row in rows)
        if any(not 0 <= values[row] < len(names) for row in rows):
            raise InputError(f"{table.what}: column '{self.caption}' lacks labels.")
        return self._of_classes([names[values[row]].replace("_", " ") for row in rows])

    def _text(self, value: Any, row: int) -> str:
        """Returns the caption of a row; of several the first."""
        text = value[0] if isinstance(value, list) and value else value
        if text is None or (isinstance(text, str) and not text.strip()):
            raise InputError(f"{self._table.place(row)}: the column '{self.caption}' is empty.")
        if not isinstance(text, str):
            raise InputError(
                f"{self._table.what}: column '{self.caption}' holds neither texts nor labels, but "
                f"{text!r}."
            )
        return text

    def _of_classes(self, names: Sequence[str]) -> tuple[str, ...]:
        splits = {name for names in SPLITS.values() for name in names}
        if {name.lower() for name in names} <= splits:
            raise InputError(
                f"{self._table.what}: its labels are names of splits, such as '{names[0]}', and no "
                "captions."
            )
        return tuple(self.template.format(name) for name in names)
