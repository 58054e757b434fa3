"""Tells from the names of files, and from a data set's card, which of them hold which split."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from sweep.errors import InputError, unknown
from sweep.tasks.captioned_folder import SPLIT_OF, TABLES
from sweep.tasks.image_files import suffixes

ARROW = (".parquet", ".tar", ".arrow")
"""Endings of files that `datasets` reads: where several are there, the first one counts."""
ROWS = (".json", ".jsonl", ".csv")
"""Endings of files of rows, which name images that lie beside them."""
_SHARD = re.compile(r"(?:.*/)?(\w+(?:\.\w+)*)-(\d{5})-of-(\d{5})(?:\W.*)?")
"""What `datasets` calls files of a split: train-00000-of-00002.parquet."""

Splits = dict[str, list[str]]
"""Names of files, relative to their folder, by split."""


def splits_of(
    names: Sequence[str], card: Mapping[str, Any], config: str | None, what: str
) -> Splits:
    """Returns the files of every split of a data set; none where they are of no known kind.

    Args:
        names: All its files, relative to its folder, with "/".
        card: The front matter of its README.
        config: Which of its configurations; None: the default one.
        what: What the data set is for, and which it is; errors name it.

    Raises:
        InputError: it has no such configuration.

    >>> splits_of(["data/train-00000-of-00001.parquet", "data/dev-00000-of-00001.parquet"], {},
    ...           None, "task 'a'")
    {'dev': ['data/dev-00000-of-00001.parquet'], 'train': ['data/train-00000-of-00001.parquet']}
    """
    configs = _configs(card)
    if not configs:
        return _by_name(names if config is None else _below(config, names, what))
    chosen = configs[_named(configs, config, what)]
    folder = str(chosen.get("data_dir", "")).removeprefix("./").strip("/")
    inside = {name.removeprefix(f"{folder}/"): name for name in names if _lies_in(name, folder)}
    if "data_files" not in chosen:
        return _by_name(list(inside.values()))
    patterns = _patterns(chosen["data_files"])
    found: Splits = {}
    for split, those in patterns.items():
        if files := [inside[name] for name in matching(those, list(inside))]:
            found[split] = _of_one_kind(files)
    if any(map(_is_image, chain(*found.values()))):
        return {}
    return found


def matching(patterns: str | Sequence[str], names: Iterable[str]) -> list[str]:
    """Returns the names that a pattern stands for: * is anything but "/", ** anything.

    >>> matching("data/train-*", ["data/train-1.tar", "data/test-1.tar", "data/train-x/1.tar"])
    ['data/train-1.tar']
    """
    several = [patterns] if isinstance(patterns, str) else patterns
    forms = [re.compile(_form(pattern)) for pattern in several]
    return sorted(name for name in names if any(form.fullmatch(name) for form in forms))


def missing_shards(names: Iterable[str]) -> int:
    """Returns how many files ought to be there as well, by what these are called.

    >>> missing_shards(["train-00000-of-00003.parquet"])
    2
    """
    there: dict[tuple[str, str], set[str]] = {}
    for name in names:
        if shard := _SHARD.fullmatch(name):
            there.setdefault((name[: shard.start(2)], shard[3]), set()).add(shard[2])
    return sum(int(count) - len(numbers) for (_, count), numbers in there.items())


def config_of(card: Mapping[str, Any], config: str | None, what: str) -> str:
    """Returns which configuration of a data set is meant.

    Raises:
        InputError: it has no such configuration.
    """
    configs = _configs(card)
    return _named(configs, config, what) if configs else config or "default"


def _configs(card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configurations that a card says the files of, by name."""
    return {
        str(one.get("config_name", "default")): one
        for one in card.get("configs") or ()
        if "data_files" in one or "data_dir" in one
    }


def _named(configs: Mapping[str, Any], config: str | None, what: str) -> str:
    if config is not None:
        if config not in configs:
            raise unknown(f"config of {what}", config, configs)
        return config
    marked = [name for name, one in configs.items() if one.get("default")]
    plain = [name for name in configs if name == "default" or len(configs) == 1]
    if not marked + plain:
        raise InputError(
            f"{what} has several configurations; give config: one of {', '.join(sorted(configs))}."
        )
    return (marked + plain)[0]


def _below(config: str, names: Sequence[str], what: str) -> list[str]:
    """Returns the files in the folder of a configuration that no card tells about."""
    found = [name for name in names if _lies_in(name, config)]
    folders = {name.split("/")[0] for name in _data(names) if "/" in name}
    if not found:
        raise unknown(f"config of {what}", config, folders)
    return found


def _lies_in(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def _patterns(given: Any) -> dict[str, list[str]]:
    """Returns patterns by split, in any of the forms that a card has them in."""
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        several = [given] if isinstance(given, str) else given
        pairs = [
            (one["split"], one["path"]) if isinstance(one, Mapping) else ("train", one)
            for one in several
        ]
    found: dict[str, list[str]] = {}
    for split, paths in pairs:
        found.setdefault(str(split), []).extend([paths] if isinstance(paths, str) else paths)
    return found


def _form(pattern: str) -> str:
    """Returns a pattern as a regular expression."""
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern.removeprefix("./"))
    return "".join(
        part if part.startswith("[") and part.endswith("]") else known.get(part, re.escape(part))
        for part in parts
    )


def _of_one_kind(names: list[str]) -> list[str]:
    """Returns the files of the first kind that is there; all if none is known."""
    kinds = ([name for name in names if name.endswith(suffix)] for suffix in (*ARROW, *ROWS))
    return next(filter(None, kinds), names)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in suffixes()


def _data(names: Iterable[str]) -> list[str]:
    """Returns the files of the first kind that is there."""
    those = [name for name in names if PurePosixPath(name).name not in TABLES]
    for suffix in ARROW:
        if found := [name for name in those if name.endswith(suffix)]:
            return found
    return [name for name in those if name.endswith(ROWS) and "/" not in name and _split(name)]


def _by_name(names: Sequence[str]) -> Splits:
    """Returns the files by what they, or the folders that they are in, are called."""
    data = sorted(_data(names))
    shards = {name: _SHARD.fullmatch(name) for name in data}
    found: Splits = {}
    for name, shard in shards.items():
        split = shard.group(1) if shard and all(shards.values()) else _split(name)
        found.setdefault(split, []).append(name)
    if list(found) == [""]:
        return {"train": found[""]}
    return {split: those for split, those in found.items() if split}


def _split(name: str) -> str:
    """Returns the split that a name speaks of: the file's own first, then those of folders."""
    for part in reversed(name.split("/")):
        for word in re.split(r"[-._ 0-9]+", part.lower()):
            if word in SPLIT_OF:
                return SPLIT_OF[word]
    return ""
