"""Data sets for tests, written by the libraries that publishers use."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sweep import file_digests
from sweep.errors import InputError
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import Table, open_table

COMMIT = "3ae0e4e" + "0" * 33
WHAT = "task 'a'"


def isolate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a test caches of its own, and no network."""
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def picture(number: int, size: int = 8) -> Image.Image:
    """Returns a picture whose colour tells its number."""
    return Image.new("RGB", (size, size), (number, 0, 0))


def png(number: int) -> bytes:
    """Returns the file of such a picture."""
    content = io.BytesIO()
    picture(number).save(content, "PNG")
    return content.getvalue()


def numbers(table: Table, column: str = "image", rows: Any = None) -> list[int]:
    """Returns the numbers of the pictures in a table."""
    pictures = table.pictures(column, np.arange(len(table)) if rows is None else np.array(rows))
    return [pictures[i].convert("RGB").getpixel((0, 0))[0] for i in range(len(pictures))]


def labelled(
    labels: Sequence[int], names: Sequence[str] = ("cat", "apse/indoor", ".22"), first: int = 0
) -> Any:
    """Returns a data set with images, labels with names and texts."""
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(names)),
            "text": datasets.Value("string"),
        }
    )
    columns = {
        "image": [picture(first + i) for i in range(len(labels))],
        "label": list(labels),
        "text": [f"text {first + i}" for i in range(len(labels))],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def on_the_hub(
    cache: Path, path: str, folder: Path, commit: str = COMMIT, ref: str = "main"
) -> None:
    """Lays out a folder in the hub's cache, as `huggingface_hub` does it."""
    store = cache / f"datasets--{path.replace('/', '--')}"
    (store / "refs").mkdir(parents=True, exist_ok=True)
    (store / "refs" / ref).write_text(commit)
    (store / "blobs").mkdir(exist_ok=True)
    (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            blob = store / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            link = store / "snapshots" / commit / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            ups = "../" * len(link.relative_to(store).parent.parts)
            link.symlink_to(f"{ups}blobs/{blob.name}")


def open_split(source: Mapping[str, Any], split: str = "train") -> Table:
    """Opens a split of a source that is given as in a study."""
    return open_table(TaskSource.model_validate(dict(source)), split, WHAT)


def refusal(source: Mapping[str, Any], split: str = "train", column: str | None = None) -> str:
    """Returns the one sentence that says why a split, or its pictures, cannot be used."""

    def use() -> None:
        table = open_split(source, split)
        if column is not None:
            numbers(table, column)

    with pytest.raises(InputError) as error:
        use()
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith((".", "?"))
    return message


def write_json(file: Path, rows: Any) -> None:
    """Writes a file of JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows), encoding="utf-8")
