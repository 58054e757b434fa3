"""Takes a reference pool from a folder of images, or from what the package `datasets` loads."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from methods.backbones.images import rgb
from methods.data import Images
from sweep import file_digests
from sweep.errors import InputError, unknown
from sweep.hub import HubOrFolder, commit_of, digest
from sweep.tasks.base import ReferenceConfig, check_template
from sweep.tasks.captioned_folder import SPLITS, TABLES, read_folder
from sweep.tasks.image_files import READABLE, LeftOut, check_pictures, open_picture

_SAVED = ("state.json", "dataset_dict.json")
"""Files of a folder that `save_to_disk` wrote: of one split, or of several."""


@dataclass(frozen=True)
class _Drawn:
    """Pairs of a folder of images."""

    files: tuple[str, ...]
    captions: tuple[str, ...]
    of: int
    """How many there are to draw from."""
    left_out: LeftOut


class Dataset(ReferenceConfig):
    """Images with captions, or with class names.

    They come from the hub, or from a folder: of images (with captions in metadata.csv or
    metadata.jsonl, or with a sub-folder per class), of parquet files, or by `save_to_disk`.
    """

    name: str = "dataset"
    path: HubOrFolder = Field(
        description="Hub id; or a folder of images, of parquet files, or by save_to_disk."
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
        if not self._is_image_folder:
            return hashlib.sha256(repr((settings, self._version)).encode()).hexdigest()
        found = hashlib.sha256(repr((settings, self._drawn.captions)).encode())
        contents = file_digests.digests(self._drawn.files)
        for file in self._drawn.files:
            found.update(contents[file])
        return found.hexdigest()

    @cached_property
    def _version(self) -> str:
        """Which data these are."""
        if self._is_folder:
            return digest(Path(self.path), suffixes=())
        return commit_of("reference", self.path, self.revision, ".gitattributes", "dataset")

    @property
    def _is_folder(self) -> bool:
        return Path(self.path).is_dir()

    @property
    def _is_saved(self) -> bool:
        """Whether it is a folder that `save_to_disk` wrote."""
        return any(Path(self.path, name).is_file() for name in _SAVED)

    @cached_property
    def _is_image_folder(self) -> bool:
        """Whether it is a folder of anything but tables with images in them."""
        if not self._is_folder or self._is_saved:
            return False
        return all(file.name in TABLES for file in Path(self.path).rglob("*.parquet"))

    def found(self) -> tuple[str, ...]:
        """Returns how many pairs there are."""
        if not self._is_image_folder:
            return ()
        used, of = len(self._drawn.files), self._drawn.of
        return (f"Reference '{self.path}': {used:,} of {of:,} pairs are used.",)

    def warnings(self) -> tuple[str, ...]:
        """Returns what is left out and why."""
        if not self._is_image_folder:
            return ()
        return tuple(self._drawn.left_out.sentences(self.path))

    def check(self) -> None:
        """Draws the pairs and decodes all their images once.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        if self._is_image_folder:
            check_pictures(file_digests.digests(self._drawn.files))
            return
        images, _ = self.load()
        content = bytes.fromhex(self.fingerprint())
        if content in file_digests.known(READABLE, {content}):
            return
        for row in range(len(images)):
            with self._said_in_one_sentence(f"image {row + 1} of those drawn cannot be read"):
                rgb(images[row])
        file_digests.note(READABLE, [content])

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Draws the pairs; images are decoded when asked for.

        Raises:
            InputError: the data set or a column is not there, or holds something else.
        """
        pictures: Any
        if self._is_image_folder:
            pictures = _Files(self._drawn.files)
            return pictures, self._drawn.captions
        import datasets  # slow to import, and seldom needed

        data = self._open()
        for column in (self.image, self.caption):
            self._check_column(column, data.column_names)
        if isinstance(data.features[self.image], dict):  # bytes and path, as others write them
            data = data.cast_column(self.image, datasets.Image())
        if not isinstance(data.features[self.image], datasets.Image) or not len(data):
            raise InputError(f"reference '{self.path}': column '{self.image}' holds no images.")
        drawn = data.select(self._draw(len(data)))
        pictures = _Pictures(drawn, self.image)
        return pictures, self._captions(drawn)

    @cached_property
    def _drawn(self) -> _Drawn:
        with self._named():
            read = read_folder(self.path, self.split)
        for column in (self.image, self.caption):
            self._check_column(column, ["image", *read.columns])
        if self.image != "image":
            raise InputError(f"reference '{self.path}': column '{self.image}' holds no images.")
        captions = self._texts(read.columns.get(self.caption, read.files), read.rows)
        if read.has_classes:
            captions = self._of_classes(captions)
        rows = self._draw(len(captions))
        return _Drawn(
            files=tuple(read.files[row] for row in rows),
            captions=tuple(captions[row] for row in rows),
            of=len(captions),
            left_out=read.left_out,
        )

    def _draw(self, count: int) -> np.ndarray:
        """Returns the rows to use of so many."""
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.permutation(count)[: self.size])

    def _check_column(self, name: str, allowed: Sequence[str]) -> None:
        if name not in allowed:
            raise unknown(f"column of reference '{self.path}'", name, allowed)

    def _open(self) -> Any:
        import datasets

        with self._said_in_one_sentence("it cannot be loaded"), _no_bars():
            if self._is_saved:
                data = datasets.load_from_disk(self.path)
            elif self._is_folder:
                return datasets.load_dataset("parquet", data_dir=self.path, split=self.split)
            else:
                return datasets.load_dataset(
                    self.path, self.subset, revision=self._version, split=self.split
                )
        splits = data if isinstance(data, dict) else {str(data.split or "train"): data}
        if self.split not in splits:
            raise unknown(f"split of reference '{self.path}'", self.split, splits)
        return splits[self.split]

    def _captions(self, drawn: Any) -> tuple[str, ...]:
        import datasets

        feature, values = drawn.features[self.caption], drawn[self.caption]
        if isinstance(feature, datasets.ClassLabel):
            with self._said_in_one_sentence(f"column '{self.caption}' lacks labels"):
                names = [feature.int2str(value).replace("_", " ") for value in values]
            return self._of_classes(names)
        return self._texts(values, [f"row {row + 1} of those drawn" for row in range(len(values))])

    def _texts(self, values: Sequence[Any], rows: Sequence[str]) -> tuple[str, ...]:
        """Returns captions, of which there must be one per row."""
        # Some data sets have several captions per image; the first is used.
        texts = [value[0] if isinstance(value, list) and value else value for value in values]
        for text, row in zip(texts, rows, strict=True):
            if text is None or (isinstance(text, str) and not text.strip()):
                raise InputError(
                    f"reference '{self.path}': {row}: the column '{self.caption}' is empty."
                )
            if not isinstance(text, str):
                raise InputError(
                    f"reference '{self.path}': column '{self.caption}' holds neither texts nor "
                    f"labels, but {text!r}."
                )
        return tuple(texts)

    def _of_classes(self, names: Sequence[str]) -> tuple[str, ...]:
        splits = {name for names in SPLITS.values() for name in names}
        if {name.lower() for name in names} <= splits:
            raise InputError(
                f"reference '{self.path}': its labels are names of splits, such as '{names[0]}', "
                "and no captions."
            )
        return tuple(self.template.format(name) for name in names)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Says which reference an error is about."""
        try:
            yield
        except InputError as error:
            raise InputError(f"reference: {error}") from None

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


class _Files:
    """Images in files, decoded at every access."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Any:
        return open_picture(self._files[int(index)])
