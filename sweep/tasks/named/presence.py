"""Finds out which data sets are on this machine, and how to get those that are not."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from huggingface_hub import get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

from sweep.errors import InputError
from sweep.tasks.sources.layout import Splits, matching, missing_shards, splits_of
from sweep.tasks.sources.places import Place
from sweep.tasks.sources.source import TaskSource
from sweep.texts import plural

SPELT_OUT = 4
"""Most data sets that are absent of which an error says the names."""
SMALL = (".gitattributes", "README.md")
"""Files of a data set on the hub that are needed whichever of its splits are."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class DataSet:
    """A data set that tasks or probes are made of, and where it is."""

    path: str
    """Hub id, or folder."""
    revision: str | None
    sources: Mapping[str, TaskSource]
    """How it is read, by task or probe."""
    root: Path | None
    """Folder with copies of data sets."""

    @property
    def is_on_hub(self) -> bool:
        """Whether it has the id of a data set on the hub."""
        return _HUB_ID.fullmatch(self.path) is not None

    @cached_property
    def folder(self) -> Path | None:
        """Where it is: a folder of its own, one below the root, or in the hub's cache."""
        if Path(self.path).is_dir():
            return Path(self.path)
        if self.root and (self.root / self.path).is_dir():
            return self.root / self.path
        if not self.is_on_hub:
            return None
        try:
            found = snapshot_download(  # the folder alone; which files are in it is asked below
                self.path,
                repo_type="dataset",
                revision=self.revision,
                allow_patterns=[],
                local_files_only=True,
            )
        except (LocalEntryNotFoundError, OSError):
            return None
        return Path(found)

    @property
    def is_in_hub_cache(self) -> bool:
        """Whether it is where the hub's clients keep what they fetch."""
        return self.folder is not None and self.folder.parent.name == "snapshots"

    @cached_property
    def commit(self) -> str | None:
        """The commit on the hub that its files are from, if they were fetched from there."""
        if self.folder is None:
            return None
        if self.is_in_hub_cache:
            return self.folder.name
        noted = sorted((self.folder / ".cache/huggingface/download").rglob("*.metadata"))
        return noted[0].read_text(encoding="utf-8").split("\n")[0] if noted else None

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """What of it is not there, in words; nothing if all is."""
        if self.folder is None:
            return ("all of it",)
        found = (one for task in self.sources for one in self._missing_of(task, self.folder))
        return tuple(dict.fromkeys(found))

    @property
    def is_there(self) -> bool:
        """Whether all of it is on this machine."""
        return not self.missing

    @property
    def command(self) -> str:
        """Returns the command that fetches it; "" if it is on no hub."""
        if not self.is_on_hub:
            return ""
        words = ["hf", "download", "--repo-type", "dataset", self.path]
        if self.revision:
            words += ["--revision", self.revision]
        for pattern in self._needed_patterns():
            words += ["--include", pattern]
        if self.root or any(_reads_other_files(source) for source in self.sources.values()):
            words += ["--local-dir", str((self.root or Path("ROOT")) / self.path)]
        return shlex.join(words)

    def splits(self, task: str, names: Sequence[str] = ()) -> Splits:
        """Returns the files of a task's splits, relative to the folder; none of image folders.

        Args:
            task: One of `sources`.
            names: Files that there are; by default those in the folder.
        """
        assert self.folder is not None
        source, place = self.sources[task], Place(str(self.folder), None, f"task '{task}'")
        names = names or place.names
        if source.files is not None:
            return {split: matching(form, names) for split, form in source.files.items()}
        return splits_of(names, place.card, source.config, place.named)

    def _needed_patterns(self) -> list[str]:
        """Returns which files to fetch, if one split of several is enough."""
        sources = self.sources.values()
        if any(source.train or source.files or source.split_file for source in sources):
            return []
        splits = dict.fromkeys(split for source in sources for split in used_splits(source))
        return [*SMALL, *(f"*{split}*" for split in splits)]

    def _missing_of(self, task: str, folder: Path) -> Iterator[str]:
        source = self.sources[task]
        listed = source.split_file
        if listed and not ((folder / listed).is_file() or Path(listed).is_file()):
            yield f"the file '{source.split_file}'"
        for images in _image_folders(source):
            if not (folder / images).is_dir():
                yield f"the folder '{images}'"
        if listed:
            return  # the images that it lists are looked for when they are read
        published = self._published_files()
        try:
            splits = self.splits(task, published)
        except InputError as error:
            yield str(error)
            return
        for split in used_splits(source) if splits else ():
            names = splits.get(split, [])
            gone = [name for name in names if not (folder / name).is_file()]
            if not names:
                yield f"the split '{split}'"
            elif count := len(gone) + missing_shards(names):
                yield f"{plural(count, 'file')} of the split '{split}'"

    def _published_files(self) -> list[str]:
        """Returns the names of all files on the hub, if that was noted when some were fetched."""
        if not self.commit or not self.is_on_hub:
            return []
        local = None if self.is_in_hub_cache else str(self.folder)
        try:
            tree = get_cached_repo_tree(
                self.path, repo_type="dataset", revision=self.commit, local_dir=local
            )
        except CachedRepoTreeNotFoundError:
            return []
        return sorted(file.path for file in tree)


def used_splits(source: TaskSource) -> list[str]:
    """Returns the splits that a task is made of.

    >>> used_splits(TaskSource(path="me/mine", train="train+validation"))
    ['train', 'validation', 'test']
    """
    named = [source.train or ""] if source.split else [source.train or "", source.test]
    return [split.strip() for both in named for split in both.split("+") if split]


def find_data_sets(sources: Mapping[str, TaskSource], root: Path | None) -> list[DataSet]:
    """Returns the data sets that tasks and probes are made of, each once, in their order."""
    found: dict[tuple[str, str | None], dict[str, TaskSource]] = {}
    for task, source in sources.items():
        found.setdefault((source.path, source.revision), {})[task] = source
    return [DataSet(path, revision, those, root) for (path, revision), those in found.items()]


def check_presence(benchmark: str, sources: Mapping[str, TaskSource], root: Path | None) -> None:
    """Makes sure that all data sets of a benchmark are on this machine; asks no network.

    Raises:
        InputError: some are not; says which, and what to do.
    """
    found = find_data_sets(sources, root)
    absent = [one for one in found if not one.is_there]
    if not absent:
        return
    named = [_described(one) for one in absent]
    if len(named) > SPELT_OUT:
        named = [*named[: SPELT_OUT - 1], f"{len(named) - SPELT_OUT + 1} more"]
    words = ["sweep", "data", benchmark, *(["--root", str(root)] if root else [])]
    raise InputError(
        f"benchmark '{benchmark}': {len(absent)} of its {plural(len(found), 'data set')} "
        f"{'is' if len(absent) == 1 else 'are'} not on this machine: {_listed(named)}; "
        f"`{shlex.join(words)}` says how to get {'it' if len(absent) == 1 else 'them'}."
    )


def _described(data: DataSet) -> str:
    lacks = "" if data.folder is None else f" (lacks {_listed(data.missing)})"
    return f"'{data.path}'{lacks}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _image_folders(source: TaskSource) -> Iterable[str]:
    if source.images is None:
        return ()
    images = source.images
    return dict.fromkeys(images.values()) if isinstance(images, dict) else (images,)


def _reads_other_files(source: TaskSource) -> bool:
    """Returns whether it needs files that the hub does not have as they are used."""
    return bool(source.images or source.split_file)
