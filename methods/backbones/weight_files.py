"""Looks at the files that a model's weights are in, without reading the weights."""

import json
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import list_repo_files, try_to_load_from_cache
from huggingface_hub.constants import is_offline_mode
from safetensors import SafetensorError, safe_open

_FILES = ("model.safetensors", "pytorch_model.bin")
"""What transformers looks for; each may be cut into shards, which NAME.index.json lists."""
_NAMES = {*_FILES, *(f"{name}.index.json" for name in _FILES)}
_POINTER = b"version https://git-lfs"
"""How a file begins that stands for a large one where Git LFS has not fetched it."""


def check_weight_files(path_or_id: str, revision: str) -> None:
    """Makes sure that the weights of a model are there and whole, as far as can be seen at once.

    Raises:
        ValueError: they are missing, cut off or damaged; in one sentence.
    """
    folder = Path(path_or_id)
    is_folder = folder.is_dir()

    def find(name: str) -> Path | None:
        if is_folder:
            return folder / name if (folder / name).is_file() else None
        cached = try_to_load_from_cache(path_or_id, name, revision=revision)
        return Path(cached) if isinstance(cached, str) else None

    if any(map(find, _NAMES)):
        for file in _of_weights(find, path_or_id):
            _check_file(file, path_or_id)
    elif is_folder or not _on_hub(path_or_id, revision):
        raise ValueError(
            f"Backbone '{path_or_id}' has no weights: there is no {' or '.join(_FILES)} in it."
        )


def _on_hub(repository: str, revision: str) -> bool:
    """Returns whether weights that are not in the cache can be fetched."""
    if is_offline_mode():
        raise ValueError(
            f"Backbone '{repository}': its weights are not in the hub's cache, and HF_HUB_OFFLINE "
            "keeps them from being fetched."
        )
    try:
        names = list_repo_files(repository, revision=revision)
    except Exception as error:  # of the library that the hub's client uses for the network
        raise ValueError(
            f"Backbone '{repository}': its weights are not in the hub's cache, and the hub does "
            f"not list its files ({type(error).__name__})."
        ) from error
    return not _NAMES.isdisjoint(names)


def _of_weights(find: Callable[[str], Path | None], path_or_id: str) -> list[Path]:
    """Returns the files that transformers would read."""
    for name in _FILES:
        if whole := find(name):
            return [whole]
        if index := find(f"{name}.index.json"):
            try:
                shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            except (ValueError, KeyError, AttributeError):
                raise ValueError(
                    f"Backbone '{path_or_id}' cannot be loaded: {index.name} does not list where "
                    "its weights are."
                ) from None
            found = {shard: find(shard) for shard in shards}
            missing = [shard for shard, file in found.items() if file is None]
            if missing and Path(path_or_id).is_dir():
                raise ValueError(
                    f"Backbone '{path_or_id}' has no weights in {missing[0]}, which {index.name} "
                    "names; the file is missing."
                )
            return [file for file in found.values() if file]
    return []


def _check_file(file: Path, path_or_id: str) -> None:
    with file.open("rb") as stream:
        is_pointer = stream.read(len(_POINTER)) == _POINTER
    if is_pointer:
        raise ValueError(
            f"Backbone '{path_or_id}' cannot be loaded: {file.name} is only a pointer of Git LFS; "
            "fetch the file with `git lfs pull`."
        )
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"Backbone '{path_or_id}' cannot be loaded: {file.name} is damaged "
                f"({str(error).strip()}); fetch it again."
            ) from None
