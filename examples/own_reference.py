"""A reference pool: images of COCO with their captions, from its own annotation file.

Methods that distil (zscl, gift, ...) keep the model as it was on image-caption pairs of no task.
COCO Captions (Chen et al., arXiv 1504.00325) is one JSON file beside a folder of images.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image
from pydantic import Field, field_validator

from methods.data import Images
from sweep.errors import InputError
from sweep.tasks.base import ReferenceConfig


class CocoCaptions(ReferenceConfig):
    """Image-caption pairs from a file such as captions_val2017.json; the first caption of each."""

    name: str = "coco"
    annotations: Path = Field(description="captions_*.json")
    images: Path = Field(description="The folder with the images.")
    size: int = Field(default=1000, ge=1, description="Pairs drawn, at most as many as there are.")
    seed: int = Field(default=0, ge=0, description="Another seed draws other pairs.")

    @field_validator("annotations", "images")
    @classmethod
    def _same_place_for_every_process(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    def fingerprint(self) -> str:
        """Returns a hash of the annotations and of the draw; images of COCO never change."""
        if not self.annotations.is_file():
            raise InputError(f"reference: '{self.annotations}' is not a file.")
        digest = hashlib.sha256(self.annotations.read_bytes())
        digest.update(f"{self.size} {self.seed}".encode())
        return digest.hexdigest()

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Draws the pairs; images are decoded when asked for."""
        content = json.loads(self.annotations.read_text("utf-8"))
        captions = {row["image_id"]: row["caption"] for row in reversed(content["annotations"])}
        rows = [row for row in content["images"] if row["id"] in captions]
        order = np.random.default_rng(self.seed).permutation(len(rows))
        drawn = [rows[i] for i in sorted(order[: self.size])]
        files = [self.images / row["file_name"] for row in drawn]
        return Pictures(files), tuple(captions[row["id"]].strip() for row in drawn)


class Pictures(Sequence[Image.Image]):
    """Images in files, decoded at every access."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> "Pictures": ...
    def __getitem__(self, index: int | slice) -> "Image.Image | Pictures":
        if isinstance(index, slice):
            return Pictures(self.files[index])
        with Image.open(self.files[index]) as image:
            return image.convert("RGB")
