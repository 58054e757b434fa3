"""Gets at the files of a data set, in a folder or on the hub."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import (
    get_cached_repo_tree,
    metadata_load,
    snapshot_download,
    try_to_load_from_cache,
    utils,
)
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    HfHubHTTPError,
    HFValidationError,
)
from yaml import YAMLError

from sweep.errors import InputError
from sweep.hub import commit_of
from sweep.tasks.image_files import LeftOut, all_files
from sweep.tasks.sources.layout import missing_shards

CARD = (".gitattributes", "README.md")
"""Small files that are looked at first; a data set need not have them."""
COPIES = {
    "HuggingFaceM4/FGVC-Aircraft": "mteb/FGVCAircraft",
    "HuggingFaceM4/VQAv2": "lmms-lab/VQAv2",
    "HuggingFaceM4/COCO": "jxie/coco_captions",
    "nlphuji/flickr30k": "lmms-lab/flickr30k",
}
"""Data sets that come with a program, which `datasets` no longer runs, and copies without."""


@dataclass(frozen=True)
class Place:
    """A folder, or a data set on the hub."""

    path: str
    """The folder, or the hub id."""
    revision: str | None
    what: str
    """What it is for; errors name it."""

    @property
    def named(self) -> str:
        """Returns what it is for, and which it is."""
        return f"{self.what}: '{self.path}'"

    @property
    def is_folder(self) -> bool:
        """Returns whether it is a folder on this machine."""
        return Path(self.path).is_dir()

    @cached_property
    def commit(self) -> str:
        """Returns the commit of a data set on the hub.

        Raises:
            InputError: it cannot be found.
        """
        try:
            return commit_of(f"{self.what}:", self.path, self.revision, CARD[0], "dataset")
        except InputError:  # without a network, and without this file, a pinned one may be there
            try:
                return Path(self._fetched([], local_files_only=True)).name
            except (HFValidationError, OSError):
                pass
            raise

    @cached_property
    def names(self) -> list[str]:
        """Returns the names of all files, with "/".

        Without a network that is what the hub's cache knows: all, or those that were fetched.

        Raises:
            InputError: it cannot be found, or comes with a program.
        """
        if self.is_folder:
            return _files_in(self.path)
        found = _files_in(self.get(CARD)) if self._listed is None else self._listed
        program = f"{self.path.split('/')[-1]}.py"
        if program in found:
            copy = COPIES.get(self.path)
            hint = f"use '{copy}'" if copy else "use a copy of it that has parquet files"
            raise InputError(
                f"{self.named} comes with a program, {program}, and `datasets` no longer runs "
                f"such; {hint}, or try revision: refs/convert/parquet."
            )
        return found

    @property
    def is_known(self) -> bool:
        """Returns whether all its files are known, not only those that were fetched."""
        return self.is_folder or self._listed is not None

    @cached_property
    def _listed(self) -> list[str] | None:
        """The files of a data set on the hub as it lists them, which its cache remembers."""
        self.get(CARD)
        try:
            tree = get_cached_repo_tree(self.path, repo_type="dataset", revision=self.commit)
        except CachedRepoTreeNotFoundError:
            return None
        return sorted(file.path for file in tree)

    @cached_property
    def card(self) -> Mapping[str, Any]:
        """Returns the front matter of its README.

        Raises:
            InputError: it cannot be read.
        """
        readme = Path(self.get(CARD), "README.md")
        try:
            found = metadata_load(readme) if readme.is_file() else None
        except (ValueError, YAMLError) as error:
            reason = " ".join(str(error).split()).removesuffix(".")
            raise InputError(f"{self.named}: README.md cannot be read: {reason}.") from None
        return found or {}

    def images(self, folder: str | None) -> str:
        """Returns the path of a folder of images within, with all that it holds.

        Raises:
            InputError: there is no such folder.
        """
        if not self.is_folder:
            # Without a folder it is the one that files of rows lie in.
            below = [] if folder is None else [n for n in self.names if _lies_below(n, folder)]
            root = self.get(below or CARD)
        else:
            root = self.path
        path = os.path.normpath(os.path.join(root, folder or ""))
        if not os.path.isdir(path):
            raise InputError(f"{self.named}: images: there is no folder '{folder}'.")
        return path

    def get(self, names: Sequence[str]) -> str:
        """Returns the folder that files are in, after fetching from the hub what is not there.

        Raises:
            InputError: they cannot be fetched.
        """
        if gone := missing_shards(names):
            hint = "" if self.is_folder else " in the hub's cache, and the hub cannot be reached"
            raise InputError(
                f"{self.named}: files such as '{names[0]}' are of a set of which {gone} are "
                f"missing{hint}."
            )
        if self.is_folder:
            return self.path
        patterns = [glob.escape(name) for name in names]
        try:
            with quiet():
                return self._fetched(patterns, revision=self.commit)
        except (HfHubHTTPError, OSError) as error:
            reason = str(error).strip().splitlines()[0].removesuffix(".")
            missing = [name for name in names if not self._is_cached(name)] or names
            raise InputError(f"{self.named}: '{missing[0]}' cannot be fetched: {reason}.") from None

    def _fetched(self, patterns: Sequence[str], **options: Any) -> str:
        """Returns the folder of a commit in the hub's cache, with the files of some patterns."""
        return str(
            snapshot_download(
                self.path,
                repo_type="dataset",
                allow_patterns=list(patterns),
                **{"revision": self.revision, **options},
            )
        )

    def _is_cached(self, name: str) -> bool:
        found = try_to_load_from_cache(self.path, name, revision=self.commit, repo_type="dataset")
        return isinstance(found, str)


def _lies_below(name: str, folder: str) -> bool:
    return folder == "." or name.startswith(folder.rstrip("/") + "/")


def _files_in(folder: str) -> list[str]:
    """Returns the names of all files below a folder that are not hidden."""
    found = all_files(folder, LeftOut())
    return [os.path.relpath(entry.path, folder).replace(os.sep, "/") for entry in found]


@contextmanager
def quiet() -> Iterator[None]:
    """Hides progress bars and messages, which would tear up what the command line prints.

    What goes wrong is raised, and said by us.
    """
    import datasets  # slow to import, and seldom needed

    libraries: list[Any] = [utils, datasets]
    shown = [library for library in libraries if not library.are_progress_bars_disabled()]
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    for library in shown:
        library.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        for library in shown:
            library.enable_progress_bars()
