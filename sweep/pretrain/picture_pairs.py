"""Reads the pictures that pretraining may see, and draws texts for them."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from sweep.errors import InputError

POOL = "pretrain"
"""Of the column `pool`: the only rows that are read."""
TEMPLATES = (
    "{}",
    "{}.",
    "a picture of {}.",
    "a drawing of {}.",
    "a photo of {}.",
    "an image of {}.",
    "clip art of {}.",
    "an icon of {}.",
)
_KIND_SHARE = 0.5
"""How often a text says only of what kind a thing is, where the caption says it."""
_KIND = re.compile(r"(.+), (an? .+)")
_SIDED = re.compile(
    r"\b(?:left|right|leftwards|rightwards|letters?|numbers?|digits?|handwritten|flag|clock|button|"
    r"sign|symbol|card|keycap|mark|east|west)\b"
)
"""Captions of what would be something else in a mirror."""


@dataclass(frozen=True, eq=False)
class PicturePairs:
    """Pictures with what is said of them."""

    images: Tensor
    """uint8 [N, 3, 32, 32]."""
    names: tuple[str, ...]
    """What is shown: equal for all pictures of one concept."""
    captions: tuple[str, ...]
    """What is shown and often, after a comma, what kind of thing that is: "red apple, a fruit"."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def may_flip(self) -> Tensor:
        """Returns which pictures may be mirrored, bool [N]."""
        return torch.tensor([_SIDED.search(caption) is None for caption in self.captions])

    def texts(self) -> list[str]:
        """Returns all captions, each once, sorted."""
        return sorted(set(self.captions))

    def say(self, number: int, random: Random) -> tuple[str, str]:
        """Returns what is said of a picture, and how, both drawn at random.

        That is what is shown, or of what kind it is; what is shown may be said with its kind.

        >>> pairs = PicturePairs(torch.empty(0), ("apple",), ("red apple, a fruit",))
        >>> {pairs.say(0, Random(seed)) for seed in range(500)} >= {
        ...     ("red apple", "red apple"),
        ...     ("red apple", "a drawing of red apple, a fruit."),
        ...     ("a fruit", "a picture of a fruit."),
        ... }
        True
        """
        caption = self.captions[number]
        found = _KIND.fullmatch(caption)
        template = random.choice(TEMPLATES)
        if found is None:
            return caption, template.format(caption)
        shown, kind = found.groups()
        if random.random() < _KIND_SHARE:
            return kind, template.format(kind)
        return shown, template.format(random.choice((shown, caption)))


def read_pairs(table: Path, pool: str = POOL) -> PicturePairs:
    """Reads one pool of the table of pictures; no other row is decoded.

    Raises:
        InputError: there is no such row.
    """
    columns = ["image", "name", "caption"]
    rows = pq.read_table(table, columns=columns, filters=[("pool", "=", pool)]).to_pylist()
    if not rows:
        raise InputError(f"'{table}' has no picture whose pool is '{pool}'.")
    pictures = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB") for row in rows]
    images = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return PicturePairs(
        images.permute(0, 3, 1, 2).contiguous(),
        tuple(row["name"] for row in rows),
        tuple(row["caption"] for row in rows),
    )
