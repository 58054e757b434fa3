"""Makes tasks of folders of images: PATH/TASK/{train,test}/CLASS/*.jpg."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, Field, field_validator, model_validator

from methods.data import Split, Task
from sweep import file_digests
from sweep.errors import InputError, unknown
from sweep.fetched import here
from sweep.tasks.base import (
    Benchmark,
    BenchmarkConfig,
    FolderPath,
    TaskFingerprint,
    check_template,
    together,
)
from sweep.tasks.image_files import (
    Files,
    LeftOut,
    check_pictures,
    entries,
    image_files,
    text_of,
)
from sweep.texts import plural

TEMPLATE = "a photo of a {}."
"""The prompt of a class unless a study gives another."""

Templates = str | tuple[str, ...]
Classes = Mapping[str, Sequence[str]]
"""Image files by the name of their class's folder."""


@dataclass
class _Listing:
    """What the folder of a benchmark holds."""

    files: dict[str, dict[str, Classes]] = field(default_factory=dict)
    """By task, and by part: train or test; of probes, test alone."""
    left_out: LeftOut = field(default_factory=LeftOut)


class ImageFolder(BenchmarkConfig):
    """Your own benchmark: a folder per task, in it a folder per class.

    The name of a class is that of its folder, with "_" read as a space. Links are followed; what
    is hidden, and files that Pillow does not read, are left out.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)  # folders may be called 0, 1, 2, ...

    name: str = "folder"
    path: FolderPath = Field(
        description="Holds TASK/train/CLASS/ and TASK/test/CLASS/ with images; or a URI of it."
    )
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

    @field_validator("tasks", "probes")
    @classmethod
    def _as_folders_are_read(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return names and tuple(unicodedata.normalize("NFC", name) for name in names)

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
        found = self._folders(LeftOut())
        named = (*(self.tasks or ()), *self.probes)
        for name in (*named, *(self.template if isinstance(self.template, dict) else ())):
            if name not in found:
                raise unknown("task", name, found)
        tasks = self.tasks or tuple(name for name in found if name not in self.probes)
        if not tasks:
            raise InputError(f"'{self.path}' holds no folders except those of the probes.")
        return tasks

    def fingerprint(self) -> str:
        """Returns the SHA-256 of what identifies the tasks and the probes, in whatever order."""
        return together(self.fingerprints(), self.task_names(), self.probes)

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task by its images, their order, its choices, prompts and question.

        Names of files do not count, except that they put images in order; nor does where they are.
        """
        return self._fingerprints

    @cached_property
    def _fingerprints(self) -> dict[str, TaskFingerprint]:
        found = {}
        for name, parts in self._listing.files.items():
            own = {part: self._digest(name, classes) for part, classes in parts.items()}
            found[name] = TaskFingerprint(own.get("train", own["test"]), own["test"])
        return found

    @cached_property
    def _contents(self) -> dict[str, bytes]:
        """Digests of all files."""
        return file_digests.digests(self._all_files())

    def _digest(self, task: str, classes: Classes) -> str:
        sizes = [(_choice(name), len(files)) for name, files in classes.items()]
        facts = (self._templates(task), self.question, sizes)
        digest = hashlib.sha256(repr(facts).encode())
        for files in classes.values():
            for file in files:
                digest.update(self._contents[file])
        return digest.hexdigest()

    def found(self) -> tuple[str, ...]:
        """Returns a sentence per task and probe: how many classes and images it has."""
        return tuple(_described(name, parts) for name, parts in self._listing.files.items())

    def warnings(self) -> tuple[str, ...]:
        """Returns which tasks are tested on images to train on, and what was left out and why."""
        return (*self._leaks(), *self._listing.left_out.sentences(self.path))

    def _leaks(self) -> Iterator[str]:
        for name, parts in self._listing.files.items():
            files = {part: list(chain(*classes.values())) for part, classes in parts.items()}
            trained = {self._contents[file] for file in files.get("train", ())}
            if leaked := [file for file in files["test"] if self._contents[file] in trained]:
                place = os.path.relpath(leaked[0], here(self.path))
                yield (
                    f"Task '{name}': {plural(len(leaked), 'image')} in both train and test, such "
                    f"as '{place}', so its accuracy is too high."
                )

    def check(self) -> None:
        """Decodes every image once.

        Raises:
            InputError: folders are missing or empty, or an image cannot be decoded.
        """
        check_pictures(self._contents)

    def load(self) -> Benchmark:
        """Lists all images; they are read when asked for.

        Raises:
            InputError: folders are missing or empty.
        """
        tasks = {name: self._task(name) for name in self.task_names()}
        return Benchmark(tasks, {name: self._task(name) for name in self.probes})

    def _folders(self, left_out: LeftOut) -> dict[str, str]:
        """Returns the paths of all folders that could be tasks, by name."""
        if not os.path.isdir(here(self.path)):
            raise InputError(f"path: '{self.path}' is not a folder.")
        folders: dict[str, str] = {}
        for entry in entries(here(self.path), left_out):
            if not entry.is_dir():
                left_out.add("they are in no task's folder", entry.path)
            elif folders.setdefault(text_of(entry), entry.path) != entry.path:
                raise _same_text("two tasks", folders[text_of(entry)], entry.path)
        if not folders:
            raise InputError(f"path: '{self.path}' holds no folders; tasks are TASK/train/CLASS/.")
        return folders

    @cached_property
    def _listing(self) -> _Listing:
        listing, names = _Listing(), self.task_names()
        folders = self._folders(listing.left_out)
        for name in (*names, *self.probes):
            parts = ("train", "test") if name in names else ("test",)
            files = _by_part(name, folders[name], parts, listing.left_out)
            listing.files[name] = files
            if len(files["test"]) < 2:
                count = len(files["test"])
                raise InputError(f"task '{name}' needs two or more classes, got {count}.")
            for part in parts:
                if odd := sorted(files[part].keys() ^ files["test"].keys()):
                    raise InputError(
                        f"task '{name}': class '{odd[0]}' is not in both {part} and test."
                    )
        return listing

    def _all_files(self) -> list[str]:
        return [
            file
            for parts in self._listing.files.values()
            for classes in parts.values()
            for files in classes.values()
            for file in files
        ]

    def _templates(self, task: str) -> tuple[str, ...]:
        if isinstance(self.template, dict):
            return _several(self.template.get(task, TEMPLATE))
        return _several(self.template)

    def _task(self, name: str) -> Task:
        parts = self._listing.files[name]
        splits = {part: split_of_files(tuple(classes.values())) for part, classes in parts.items()}
        return Task(
            name=name,
            choices=tuple(map(_choice, parts["test"])),
            templates=self._templates(name),
            question=self.question,
            train=splits.get("train", splits["test"]),
            test=splits["test"],
        )


def split_of_files(files_by_class: Sequence[Sequence[str | Path]]) -> Split:
    """Returns a split of images in files, decoded when they are asked for."""
    files = [os.fspath(file) for files in files_by_class for file in files]
    sizes = [len(files) for files in files_by_class]
    return Split(Files(files), np.repeat(np.arange(len(sizes)), sizes))


def _choice(folder: str) -> str:
    return folder.replace("_", " ")


def _several(templates: Templates) -> tuple[str, ...]:
    return (templates,) if isinstance(templates, str) else templates


def _by_part(task: str, folder: str, parts: Sequence[str], left_out: LeftOut) -> dict[str, Classes]:
    inside = {entry.name: entry for entry in entries(folder, left_out)}
    for name, entry in inside.items():
        if name not in ("train", "test"):
            left_out.add("only train/ and test/ of a task are read", entry.path)
    found = {}
    for part in parts:
        if part not in inside or not inside[part].is_dir():
            raise InputError(f"task '{task}': there is no folder '{os.path.join(folder, part)}'.")
        found[part] = _by_class(task, inside[part].path, left_out)
    return found


def _by_class(task: str, folder: str, left_out: LeftOut) -> Classes:
    """Returns image files by class, classes sorted by name."""
    found: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    for entry in entries(folder, left_out):
        if not entry.is_dir():
            left_out.add("they are in no class's folder", entry.path)
            continue
        name = text_of(entry)
        if paths.setdefault(_choice(name), entry.path) != entry.path:
            raise _same_text(f"task '{task}': two classes", paths[_choice(name)], entry.path)
        found[name] = image_files(entry.path, left_out)
        if not found[name]:
            raise InputError(
                f"task '{task}': no images (.png, .jpg, .tiff or others that Pillow reads) in "
                f"'{entry.path}'."
            )
    return {name: found[name] for name in sorted(found)}


def _same_text(what: str, one: str, other: str) -> InputError:
    names = os.path.basename(one), os.path.basename(other)
    stored = {unicodedata.normalize("NFC", name) for name in names}
    how = ", which differ only in how accents are stored" if len(stored) == 1 else ""
    return InputError(f"{what} have the same name as text: '{one}' and '{other}'{how}; rename one.")


def _described(task: str, parts: Mapping[str, Classes]) -> str:
    def counted(part: str) -> str:
        sizes = [len(files) for files in parts[part].values()]
        each = (
            f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
        )
        return f"{sum(sizes):,} {part} images ({each} per class)"

    described = " and ".join(counted(part) for part in parts)
    return f"Task '{task}': {len(parts['test']):,} classes, {described}."
