"""Makes tasks of folders of images: PATH/TASK/{train,test}/CLASS/*.jpg."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field, field_validator, model_validator

from methods.data import Task
from sweep.errors import InputError, unknown
from sweep.tasks.base import Benchmark, BenchmarkConfig, check_template

TEMPLATE = "a photo of a {}."
"""The prompt of a class unless a study gives another."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Endings of image files, in lower case."""

Templates = str | tuple[str, ...]


class ImageFolder(BenchmarkConfig):
    """Your own benchmark: a folder per task, in it a folder per class.

    The name of a class is that of its folder, with "_" read as a space.
    """

    name: str = "folder"
    path: Path = Field(description="Holds TASK/train/CLASS/ and TASK/test/CLASS/ with images.")
    tasks: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Sub-folders to use as tasks; null: all except probes.",
    )
    template: Templates | dict[str, Templates] = Field(
        default=TEMPLATE,
        description="Prompts of dual encoders with '{}' for the class; one, several, or per task.",
    )
    question: str = Field(default="What is in the image?", description="For fusion backbones.")
    probes: tuple[str, ...] = Field(
        default=(), description="Sub-folders to evaluate on, but never to train on."
    )

    @field_validator("path")
    @classmethod
    def _same_place_for_every_process(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("template")
    @classmethod
    def _has_a_place_for_the_class(
        cls, value: Templates | dict[str, Templates]
    ) -> Templates | dict[str, Templates]:
        for templates in value.values() if isinstance(value, dict) else [value]:
            for template in _several(templates):
                check_template(template)
            if not templates:
                raise InputError("the list of templates is empty; give at least one.")
        return value

    @model_validator(mode="after")
    def _names_once(self) -> "ImageFolder":
        names = (*(self.tasks or ()), *self.probes)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"'{twice[0]}' is given twice among tasks and probes.")
        return self

    def task_names(self) -> tuple[str, ...]:
        """Returns the sub-folders that are tasks, sorted unless given."""
        found = self._folders()
        named = (*(self.tasks or ()), *self.probes)
        for name in (*named, *(self.template if isinstance(self.template, dict) else ())):
            if name not in found:
                raise unknown("task", name, found)
        tasks = self.tasks or tuple(name for name in found if name not in self.probes)
        if not tasks:
            raise InputError(f"'{self.path}' holds no folders except those of the probes.")
        return tasks

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the images, their places, the prompts and the question."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        names = (*self.task_names(), *self.probes)
        digest = hashlib.sha256(repr((self.question, self.probes)).encode())
        for name in names:
            digest.update(repr((name, self._templates(name))).encode())
            for file in _images(self.path / name):
                digest.update(file.relative_to(self.path).as_posix().encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def check(self) -> None:
        """Decodes every image once.

        Raises:
            InputError: folders are missing or empty, or an image cannot be decoded.
        """
        self.load()
        names = (*self.task_names(), *self.probes)
        with ThreadPoolExecutor() as threads:
            for _ in threads.map(_decode, [f for name in names for f in _images(self.path / name)]):
                pass

    def load(self) -> Benchmark:
        """Lists all images; they are read when asked for.

        Raises:
            InputError: folders are missing or empty.
        """
        tasks = {name: self._task(name, ("train", "test")) for name in self.task_names()}
        probes = {name: self._task(name, ("test",)) for name in self.probes}
        return Benchmark(tasks, probes)

    def _folders(self) -> list[str]:
        if not self.path.is_dir():
            raise InputError(f"path: '{self.path}' is not a folder.")
        folders = _folders(self.path)
        if not folders:
            raise InputError(f"path: '{self.path}' holds no folders; tasks are TASK/train/CLASS/.")
        return folders

    def _templates(self, task: str) -> tuple[str, ...]:
        if isinstance(self.template, dict):
            return _several(self.template.get(task, TEMPLATE))
        return _several(self.template)

    def _task(self, name: str, parts: Sequence[str]) -> Task:
        folder = self.path / name
        files = {part: _by_class(folder, part) for part in parts}
        classes = list(files["test"])
        if len(classes) < 2:
            raise InputError(f"task '{name}' needs two or more classes, got {len(classes)}.")
        for part, found in files.items():
            if odd := sorted(found.keys() ^ files["test"].keys()):
                raise InputError(f"task '{name}': class '{odd[0]}' is not in both {part} and test.")
        splits = {part: FolderSplit(tuple(found.values())) for part, found in files.items()}
        return Task(
            name=name,
            choices=tuple(label.replace("_", " ") for label in classes),
            templates=self._templates(name),
            question=self.question,
            train=splits.get("train", splits["test"]),
            test=splits["test"],
        )


class FolderSplit:
    """Images in files, decoded at every access."""

    questions: Sequence[str] | None = None

    def __init__(self, files_by_class: Sequence[Sequence[Path]]) -> None:
        files = [str(file) for files in files_by_class for file in files]
        self.labels = np.repeat(np.arange(len(files_by_class)), [len(f) for f in files_by_class])
        import datasets  # slow to import, and only needed here

        self._dataset = datasets.Dataset.from_dict(
            {"image": files}, features=datasets.Features({"image": datasets.Image()})
        )

    def images(self, ids: np.ndarray) -> list[Image.Image]:
        """Returns the pictures of the samples `ids`, turned as their EXIF data say."""
        pictures: list[Image.Image] = self._dataset[ids.tolist()]["image"]
        return pictures


def _several(templates: Templates) -> tuple[str, ...]:
    return (templates,) if isinstance(templates, str) else templates


def _folders(path: Path) -> list[str]:
    return sorted(f.name for f in path.iterdir() if f.is_dir() and not _hidden(f))


def _images(path: Path) -> list[Path]:
    files = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in files if not _hidden(file))


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _by_class(task: Path, part: str) -> Mapping[str, list[Path]]:
    """Returns image files by class."""
    folder = task / part
    if not folder.is_dir():
        raise InputError(f"task '{task.name}': there is no folder '{folder}'.")
    files = {name: _images(folder / name) for name in _folders(folder)}
    for name, found in files.items():
        if not found:
            allowed = ", ".join(SUFFIXES)
            raise InputError(f"task '{task.name}': no images ({allowed}) in '{folder / name}'.")
    return files


def _decode(file: Path) -> None:
    """Decodes at low resolution, which still reads every byte of the file."""
    try:
        with Image.open(file) as image:
            image.draft("RGB", (1, 1))
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"'{file}' cannot be read as an image: {error}.") from None
