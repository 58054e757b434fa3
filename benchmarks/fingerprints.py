"""Measures what it costs to look at a large folder of images, the first time and again.

    nice -n 19 python benchmarks/fingerprints.py

Writes small images into folders of 20 tasks of 50 classes. Then processes, one after another, do
what `sweep plan` and `sweep run` do before anything else: they list the folder, take the tasks'
fingerprints and make sure that all images can be decoded. The first one has seen none of the
files, the second one all of them, and before the third one an image is added. For each it prints
processor seconds of each step (so that other work on the machine does not count), without the start
of Python, and their sum as a share of the first's.

TABLE
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sweep import file_digests
from sweep.tasks.image_folder import ImageFolder

TASKS, CLASSES = 20, 50
STEPS = ("list", "fingerprints", "check")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=32, help="Height and width in pixels.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder / "data", given.images, given.side)
        time.sleep(file_digests.SETTLED_SECONDS + 1)
        print(f"{'':>16}", *(f"{step:>12}" for step in (*STEPS, "together", "share")))
        first = show("first time", folder, None)
        show("again", folder, first)
        one = next((folder / "data" / "task0" / "train" / "class0").iterdir())
        one.with_name("added.jpg").write_bytes(picture(given.images, given.side))
        show("one image more", folder, first)


def write(folder: Path, images: int, side: int) -> None:
    """Writes as many images as there should be, three quarters of them for training."""
    each = images // (TASKS * CLASSES)
    for number in range(TASKS * CLASSES * each):
        task, label, i = number // each // CLASSES, number // each % CLASSES, number % each
        place = folder / f"task{task}" / ("test" if i % 4 == 0 else "train") / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.jpg").write_bytes(picture(number, side))


def picture(seed: int, side: int) -> bytes:
    """Returns a JPEG file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def show(name: str, folder: Path, first: float | None) -> float:
    """Measures in a new process, prints a row, and returns the seconds of all steps."""
    command = [sys.executable, __file__, "--measure", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = json.loads(done.stdout)
    together = sum(seconds.values())
    shown = [f"{seconds[step]:>10.2f} s" for step in STEPS]
    print(f"{name:>16}", *shown, f"{together:>10.2f} s {together / (first or together):>12.1%}")
    return together


def measure(folder: Path) -> None:
    """Prints the seconds of every step in this process."""
    file_digests.MEMORY = folder / "memory.sqlite"
    os.environ["OMP_NUM_THREADS"] = "1"
    config, seconds = ImageFolder(path=folder / "data"), dict[str, float]()
    for step, look in zip(STEPS, (config.load, config.fingerprints, config.check), strict=True):
        started = time.process_time()
        look()
        seconds[step] = time.process_time() - started
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
