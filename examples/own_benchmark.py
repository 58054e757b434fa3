"""A benchmark: tasks from a CSV file with the columns `task`, `split`, `image` and `label`.

Many data sets come as a table of image paths. Nothing has to be copied into folders for them.
"""

import hashlib
from pathlib import Path

import pandas as pd
from pydantic import Field, field_validator

from methods.data import Task
from sweep.errors import InputError
from sweep.tasks.base import Benchmark, BenchmarkConfig
from sweep.tasks.image_folder import split_of_files

COLUMNS = ["task", "split", "image", "label"]


class CsvTable(BenchmarkConfig):
    """Tasks from a table of image paths, which are relative to the table."""

    name: str = "csv"
    path: Path = Field(description="A CSV file; split is train or test.")
    template: str = Field(default="a photo of a {}.", description="'{}' stands for the label.")

    @field_validator("path")
    @classmethod
    def _same_place_for_every_process(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    def task_names(self) -> tuple[str, ...]:
        """Returns the tasks, in the order in which the table has them."""
        return tuple(self._rows()["task"].unique())

    def fingerprint(self) -> str:
        """Returns a hash of the table, the images and the template."""
        digest = hashlib.sha256(self.template.encode() + self.path.read_bytes())
        for image in self._rows()["image"]:
            digest.update(hashlib.sha256((self.path.parent / image).read_bytes()).digest())
        return digest.hexdigest()

    def load(self) -> Benchmark:
        """Lists the images of every task; they are decoded when asked for."""
        return Benchmark({name: self._task(name, rows) for name, rows in self._by_task()})

    def _by_task(self) -> list[tuple[str, pd.DataFrame]]:
        return [(str(name), rows) for name, rows in self._rows().groupby("task", sort=False)]

    def _task(self, name: str, rows: pd.DataFrame) -> Task:
        labels = sorted(rows["label"].unique())
        splits = {}
        for split in ("train", "test"):
            own = rows[rows["split"] == split]
            files = [
                [self.path.parent / f for f in own["image"][own["label"] == x]] for x in labels
            ]
            if not all(files):
                raise InputError(f"task '{name}': a label has no images in split '{split}'.")
            splits[split] = split_of_files(files)
        question = "What is in the image?"
        return Task(
            name, tuple(labels), (self.template,), question, splits["train"], splits["test"]
        )

    def _rows(self) -> pd.DataFrame:
        if not self.path.is_file():
            raise InputError(f"path: '{self.path}' is not a file.")
        rows = pd.read_csv(self.path, dtype=str)
        if missing := [column for column in COLUMNS if column not in rows]:
            raise InputError(f"'{self.path}' has no column '{missing[0]}'.")
        return rows
