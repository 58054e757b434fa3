"""A generator: synthetic images that were made elsewhere, from folders.

Replay of generated images (gift; Wu et al., CVPR 2025, arXiv 2503.04229) needs a text-to-image
model. Where that model is behind an API, or too large for the training machines, images are made
once beforehand and read here.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field, field_validator

from methods.data import Images, Task
from sweep.errors import InputError
from sweep.tasks.base import BenchmarkConfig, Generator, GeneratorConfig


class StoredImages(GeneratorConfig):
    """Images in PATH/TASK/CHOICE/*.png, with "_" in the name of a folder for a space."""

    name: str = "stored"
    path: Path = Field(description="Holds TASK/CHOICE/ with images.")

    @field_validator("path")
    @classmethod
    def _same_place_for_every_process(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    def fingerprint(self) -> str:
        """Returns a hash of all files and their places."""
        found = sorted(self.path.rglob("*.png"))
        if not found:
            raise InputError(f"generator: there are no images (*.png) in '{self.path}'.")
        digest = hashlib.sha256(str(self.images).encode())
        for file in found:
            digest.update(str(file.relative_to(self.path)).encode() + file.read_bytes())
        return digest.hexdigest()

    def load(self, benchmark: BenchmarkConfig) -> Generator:
        """Returns a function that picks a stored image for every seed."""

        def draw(task: Task, labels: np.ndarray, seeds: Sequence[int]) -> Images:
            files = [self._files(task.name, choice) for choice in task.choices]
            return [
                Image.open(files[label][seed % len(files[label])]).convert("RGB")
                for label, seed in zip(labels, seeds, strict=True)
            ]

        return draw

    def _files(self, task: str, choice: str) -> list[Path]:
        folder = self.path / task / choice.replace(" ", "_")
        files = sorted(folder.glob("*.png"))
        if not files:
            raise InputError(f"generator: there are no images (*.png) in '{folder}'.")
        return files
