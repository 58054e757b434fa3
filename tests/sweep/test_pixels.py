"""Prepared pixels: the backbone's own, prepared once, never half a file."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from methods.backbones import Backbone, load_backbone
from methods.data import Split
from methods.testing.tiny_models import SIZE, save_clip
from sweep.errors import InputError
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


def test_of_several_that_start_together_one_decodes(backbone: Backbone, tmp_path: Path) -> None:
    class Slow(Pictures):
        def images(self, ids: np.ndarray) -> Sequence[Image.Image]:
            time.sleep(0.05)
            return super().images(ids)

    splits = [Slow() for _ in range(4)]
    with ThreadPoolExecutor() as lanes:
        prepared = list(lanes.map(lambda s: Pixels(s, backbone, tmp_path, "pictures"), splits))
    assert sorted(split.decoded for split in splits) == [0, 0, 0, 5]
    assert all(torch.equal(p[torch.arange(5)], prepared[0][torch.arange(5)]) for p in prepared)


LANE = """
import sys, time
from pathlib import Path
import numpy as np
import torch
from PIL import Image
from methods.backbones import load_backbone
from methods.data import Split
from sweep.tasks.pixels import Pixels

clip, folder, decoded, ready = map(Path, sys.argv[1:])

class Pictures:
    def __len__(self):
        return 3
    def __getitem__(self, index):
        with decoded.open("a") as log:
            log.write("decoded\\n")
        time.sleep(0.1)
        return Image.new("RGB", (40, 30), (index, 0, 0))

backbone = load_backbone(clip)
ready.touch()
while len(list(ready.parent.glob("ready-*"))) < 2:
    time.sleep(0.01)
pixels = Pixels(Split(Pictures(), np.zeros(3)), backbone, folder, "pictures")
assert pixels[torch.arange(3)][:, 0, 0, 0].tolist() == [0, 1, 2]
"""


def test_of_two_processes_that_start_together_one_decodes(tmp_path: Path) -> None:
    clip, decoded = save_clip(tmp_path / "clip", ["cat"]), tmp_path / "decoded"
    lanes = [
        subprocess.Popen(
            [sys.executable, "-c", LANE, clip, tmp_path / "cache", decoded, tmp_path / ready]
        )
        for ready in ("ready-1", "ready-2")
    ]
    assert [lane.wait(120) for lane in lanes] == [0, 0]
    assert decoded.read_text().split() == ["decoded"] * 3


def test_what_a_process_left_that_was_killed_is_replaced(
    backbone: Backbone, tmp_path: Path
) -> None:
    Pixels(Pictures(), backbone, tmp_path, "pictures")
    (file,) = tmp_path.glob("*.npy")
    right = file.read_bytes()
    file.unlink()
    left = file.with_suffix(".unfinished")
    left.write_bytes(b"x" * 2 * len(right))
    Pixels(Pictures(), backbone, tmp_path, "pictures")
    assert file.read_bytes() == right
    assert not left.exists()


def test_a_split_without_pictures(backbone: Backbone, tmp_path: Path) -> None:
    assert len(Pixels(Pictures(0), backbone, tmp_path, "none")) == 0


def test_a_full_disk_is_an_error_in_one_sentence(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    needed = 5 * 3 * SIZE * SIZE
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    with pytest.raises(
        InputError,
        match=r"5 prepared images take 15\.4 KB, .* 15\.4 KB left; .*TASK_ORDER_SWEEP_CACHE",
    ):
        Pixels(Pictures(), backbone, tmp_path, "pictures")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    assert len(Pixels(Pictures(), backbone, tmp_path, "pictures")) == 5


def test_a_lock_ends_with_its_process(backbone: Backbone, tmp_path: Path) -> None:
    Pixels(Pictures(), backbone, tmp_path, "pictures")
    (lock,) = tmp_path.glob("*.lock")
    (file,) = tmp_path.glob("*.npy")
    file.unlink()
    held = (
        f"from filelock import FileLock; import os; FileLock({str(lock)!r}).acquire(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", held], check=False)
    assert len(Pixels(Pictures(), backbone, tmp_path, "pictures")) == 5


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
    pixels = Pixels(Split(images, np.zeros(4)), backbone, tmp_path, "arrays")
    assert not list(tmp_path.iterdir())
    assert torch.equal(pixels[torch.tensor([2])][0], torch.from_numpy(images[2]).permute(2, 0, 1))
    assert pixels[torch.arange(2)].is_contiguous()


def test_arrays_of_another_size_are_resized(backbone: Backbone, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    pixels = Pixels(Split(images, np.zeros(3)), backbone, tmp_path, "arrays")
    assert torch.equal(pixels[torch.arange(3)], backbone.pixels(images))


def test_a_failure_leaves_nothing_behind(backbone: Backbone, tmp_path: Path) -> None:
    class Broken(Pictures):
        def images(self, ids: np.ndarray) -> Sequence[Image.Image]:
            if len(ids) > 1:
                raise OSError("truncated")
            return super().images(ids)

    with pytest.raises(OSError, match="truncated"):
        Pixels(Broken(), backbone, tmp_path, "pictures")
    assert {file.suffix for file in tmp_path.iterdir()} == {".lock"}
    assert len(Pixels(Pictures(), backbone, tmp_path, "pictures")) == 5


def test_batches_can_be_changed_without_changing_the_split(
    backbone: Backbone, tmp_path: Path
) -> None:
    pixels = Pixels(Pictures(), backbone, tmp_path, "pictures")
    batch = pixels[torch.arange(2)]
    before = batch.clone()
    batch.zero_()
    assert torch.equal(pixels[torch.arange(2)], before)
