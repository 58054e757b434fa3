"""Benchmarks of data sets for tests, written as their publishers write them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods.data import Split, Task
from sweep.errors import InputError
from sweep.tasks.base import TaskFingerprint
from sweep.tasks.sources.datasets import Datasets
from tests.sweep.sources import picture

NAMES = ("sea_lion", "apse/indoor", ".22")


def write(folder: Path, **splits: Mapping[str, Sequence[Any]]) -> str:
    """Writes splits as parquet files, each of columns; labels are numbers of NAMES.

    The colour of every picture tells its number, which counts on through the splits.
    """
    import datasets

    first = 0
    for split, columns in splits.items():
        count = len(next(iter(columns.values())))
        images = {"image": [picture(first + row) for row in range(count)]}
        data = datasets.Dataset.from_dict({**images, **columns})
        data = data.cast_column("image", datasets.Image())
        if "label" in columns and isinstance(columns["label"][0], int):
            data = data.cast_column("label", datasets.ClassLabel(names=list(NAMES)))
        folder.mkdir(parents=True, exist_ok=True)
        data.to_parquet(folder / f"{split}-00000-of-00001.parquet")
        first += count
    return str(folder)


def benchmark(source: Mapping[str, Any], **others: Any) -> Datasets:
    """Returns the benchmark of one task "a", as a study gives it, and of what else is given."""
    return Datasets.model_validate({"tasks": {"a": source} | others})


def task_of(source: Mapping[str, Any], name: str = "a") -> Task:
    """Returns a task of a source that is called "a"."""
    return benchmark(source).load().tasks[name]


def shown_in(split: Split) -> list[int]:
    """Returns the number of the picture that every sample shows."""
    pictures = split.images(np.arange(len(split.pictures)))
    colours = [pictures[i].convert("RGB").getpixel((0, 0))[0] for i in range(len(pictures))]
    return [colours[i] for i in split.shown.tolist()]


def identified(source: Mapping[str, Any], **others: Any) -> TaskFingerprint:
    """Returns what identifies the task "a"."""
    return benchmark(source, **others).fingerprints()["a"]


def refusal(source: Mapping[str, Any], **fields: Any) -> str:
    """Returns the one sentence that says why a benchmark cannot be used."""

    def use() -> None:
        found = Datasets.model_validate({"tasks": {"a": source}} | fields)
        found.found()
        found.load()

    with pytest.raises((InputError, ValueError)) as error:
        use()
    message = str(error.value)
    if not isinstance(error.value, InputError):  # pydantic says more; studies show one sentence
        message = str(error.value.errors()[0]["ctx"]["error"])
    assert "\n" not in message
    assert message.endswith((".", "?"))
    return message
