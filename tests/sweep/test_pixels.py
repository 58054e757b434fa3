"""Prepared pixels: the backbone's own, prepared once, never half a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from methods.backbones import Backbone, load_backbone
from methods.data import ArraySplit
from methods.testing.tiny_models import SIZE, save_clip
from sweep.tasks.pixels import Pixels


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(save_clip(tmp_path_factory.mktemp("clip"), ["cat"]))


class Pictures:
    """A split of pictures that counts how often it is asked to decode one."""

    questions = None

    def __init__(self, count: int = 5) -> None:
        random = np.random.default_rng(count)
        self.labels = np.zeros(count, dtype=np.int64)
        self.pictures = [
            Image.fromarray(random.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8))
            for i in range(count)
        ]
        self.decoded = 0

    def images(self, ids: np.ndarray) -> Sequence[Image.Image]:
        self.decoded += len(ids)
        return [self.pictures[i] for i in ids]


def test_pictures_are_what_the_backbone_makes_of_them(backbone: Backbone, tmp_path: Path) -> None:
    split = Pictures()
    pixels = Pixels(split, backbone, tmp_path, "pictures")
    ids = torch.tensor([3, 0, 3])
    assert len(pixels) == 5
    assert torch.equal(pixels[ids], backbone.pixels([split.pictures[i] for i in ids]))


def test_more_pictures_than_fit_one_chunk_keep_their_order(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.tasks.pixels._PICTURES_AT_ONCE", 2)
    split = Pictures()
    pixels = Pixels(split, backbone, tmp_path, "pictures")
    assert torch.equal(pixels[torch.arange(5)], backbone.pixels(split.pictures))


def test_pictures_are_decoded_once_for_all_processes(backbone: Backbone, tmp_path: Path) -> None:
    Pixels(Pictures(), backbone, tmp_path, "pictures")
    later = Pictures()
    pixels = Pixels(later, backbone, tmp_path, "pictures")
    assert pixels[torch.arange(5)].shape == (5, 3, SIZE, SIZE)
    assert later.decoded == 0


def test_other_content_and_other_backbones_have_files_of_their_own(
    backbone: Backbone, tmp_path: Path
) -> None:
    other = load_backbone(save_clip(tmp_path / "other", ["cat"], seed=1))
    Pixels(Pictures(), backbone, tmp_path, "a")
    Pixels(Pictures(), backbone, tmp_path, "b")
    Pixels(Pictures(), other, tmp_path, "a")
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_arrays_of_the_right_size_are_used_where_they_are(
    backbone: Backbone, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    pixels = Pixels(ArraySplit(images, np.zeros(4)), backbone, tmp_path, "arrays")
    assert not list(tmp_path.iterdir())
    assert torch.equal(pixels[torch.tensor([2])][0], torch.from_numpy(images[2]).permute(2, 0, 1))
    assert pixels[torch.arange(2)].is_contiguous()


def test_arrays_of_another_size_are_resized(backbone: Backbone, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    pixels = Pixels(ArraySplit(images, np.zeros(3)), backbone, tmp_path, "arrays")
    assert torch.equal(pixels[torch.arange(3)], backbone.pixels(images))


def test_a_failure_leaves_nothing_behind(backbone: Backbone, tmp_path: Path) -> None:
    class Broken(Pictures):
        def images(self, ids: np.ndarray) -> Sequence[Image.Image]:
            if len(ids) > 1:
                raise OSError("truncated")
            return super().images(ids)

    with pytest.raises(OSError, match="truncated"):
        Pixels(Broken(), backbone, tmp_path, "pictures")
    assert not list(tmp_path.iterdir())
    assert len(Pixels(Pictures(), backbone, tmp_path, "pictures")) == 5


def test_batches_can_be_changed_without_changing_the_split(
    backbone: Backbone, tmp_path: Path
) -> None:
    pixels = Pixels(Pictures(), backbone, tmp_path, "pictures")
    batch = pixels[torch.arange(2)]
    before = batch.clone()
    batch.zero_()
    assert torch.equal(pixels[torch.arange(2)], before)
