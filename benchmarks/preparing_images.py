"""Measures what it costs to prepare a data set for a backbone, to map it, and to evaluate on it.

    python benchmarks/preparing_images.py --images 2000

Writes parquet files of JPEG photographs (smooth noise, 500 x 375 pixels) as data sets on the hub
have them, and prepares the images as a study does for a CLIP of 224 pixels with random weights.
It prints

- images per second with one processor, two, four, ..., all, and per second of a processor, which
  other work on the machine leaves as it is;
- the seconds of a second start as a share of the first;
- bytes on disk per image;
- what memory of its own a process takes that maps the prepared images and reads them all, 64 at a
  time;
- how many test images are evaluated per second of a processor, by kind of task, on tiny models and
  on a CLIP ViT-B/32 with random weights; and what one takes as a multiple of what choices take on
  the tiny CLIP. All models get their images prepared.

On a small cloud machine with two cores, 500 images; other work left them a third of it:

    images per second, processors: 1                   66
    images per second of a processor                  202
    images per second, processors: 2                   66
    images per second of a processor                  204
    second start / first                          0.00003
    bytes on disk per image                        150528
    own memory of a reader, in MB                       9
    clip      choices  per second of a processor    4423.4      1.0
    clip      pairs    per second of a processor    6084.3      0.7
    llava     pairs    per second of a processor    1469.8      3.0
    llava     answers  per second of a processor    1041.2      4.2
    vit-b-32  choices  per second of a processor       6.8    655.2
    vit-b-32  pairs    per second of a processor       6.6    671.8

So 100 000 images take 8 minutes of a processor, once per machine, and 15 GB on its disk. How many
processors help is not to be seen here. Of the time of a processor three quarters are spent in
Pillow's decoding and resizing (a profile of 200 images), which threads do side by side, so that
they can be at most four times as fast.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from methods.backbones import load_backbone
from methods.backbones.base import Backbone
from methods.data import Split
from methods.testing.tiny_models import VOCABULARY, save_clip, save_llava, tokenizer_of
from methods.testing.workbench import Workbench
from sweep.study.schema import Study
from sweep.tasks.pixels import Pixels
from sweep.tasks.sources.datasets import Datasets

SIZE = (500, 375)
WORDS = ("red", "green", "blue")
TESTED = 32
"""Images of the test split, on which models are evaluated."""
SOURCES: dict[str, dict[str, Any]] = {
    "choices": {"template": "a {}", "classes": WORDS},
    "pairs": {"kind": "pairs"},
    "answers": {"kind": "answers", "score": "exact_match", "answer_tokens": 4},
}
EVALUATED = (
    *(("clip", "choices"), ("clip", "pairs"), ("llava", "pairs"), ("llava", "answers")),
    *(("vit-b-32", "choices"), ("vit-b-32", "pairs")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder / "photos" / "train-0.parquet", given.images, seed=0)
        write(folder / "photos" / "test-0.parquet", TESTED, seed=1)
        save_models(folder)
        prepare(folder, given.images)
        evaluate(folder)


def write(file: Path, count: int, seed: int) -> None:
    """Writes photographs with a label, a caption and an answer each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(WORDS)
    pictures = []
    for _ in range(count):
        stream = io.BytesIO()
        small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize(SIZE).save(stream, "JPEG", quality=90)
        pictures.append({"bytes": stream.getvalue(), "path": None})
    words = [WORDS[label] for label in labels]
    columns = {"image": pictures, "label": labels, "caption": words, "answer": words}
    file.parent.mkdir(exist_ok=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    arrays = {
        name: pa.array(some, image if name == "image" else None) for name, some in columns.items()
    }
    pq.write_table(pa.table(arrays), file, row_group_size=100)


def save_models(folder: Path) -> None:
    save_clip(folder / "clip", VOCABULARY)
    save_llava(folder / "llava", VOCABULARY)
    tokenizer = tokenizer_of(VOCABULARY, "<bos> $A <eos>")
    special = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")
    }
    # Its defaults are those of ViT-B/32.
    for part in (CLIPModel(CLIPConfig(text_config=special)), tokenizer, CLIPImageProcessorPil()):
        part.save_pretrained(folder / "vit-b-32")


def prepare(folder: Path, count: int) -> None:
    split = Datasets(tasks={"photos": source(folder, "choices")}).load().tasks["photos"].train
    backbone = load_backbone(folder / "vit-b-32")
    processors, cores = 1, len(os.sched_getaffinity(0))
    while processors < 2 * cores:
        used = min(processors, cores)
        first, busy = seconds_to_prepare(split, backbone, folder / f"prepared-{used}", used)
        print(f"images per second, processors: {used:<4}        {count / first:>10.0f}")
        print(f"images per second of a processor           {count / busy:>10.0f}")
        processors *= 2
    prepared = folder / f"prepared-{cores}"
    again, _ = seconds_to_prepare(split, backbone, prepared, cores)
    print(f"second start / first                       {again / first:>10.5f}")
    disk = sum(file.stat().st_size for file in prepared.iterdir())
    print(f"bytes on disk per image                    {disk / count:>10.0f}")
    own = own_memory_of_reading(split, backbone, prepared)
    print(f"own memory of a reader, in MB              {own / 1e6:>10.0f}")


def source(folder: Path, kind: str) -> dict[str, Any]:
    return {"path": str(folder / "photos"), **SOURCES[kind]}


def seconds_to_prepare(
    split: Split, backbone: Backbone, folder: Path, processors: int
) -> tuple[float, float]:
    """Returns seconds, and seconds of processors, with some of the processors."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:processors])
    started, used = time.perf_counter(), time.process_time()
    Pixels(split, backbone, folder, "photos")
    spent, busy = time.perf_counter() - started, time.process_time() - used
    os.sched_setaffinity(0, allowed)
    return spent, busy


def own_memory_of_reading(split: Split, backbone: Backbone, folder: Path) -> int:
    """Returns by how many bytes the memory grows that this process shares with no other."""
    before = own_memory()
    pixels = Pixels(split, backbone, folder, "photos")
    for start in range(0, len(pixels), 64):
        pixels[np.arange(start, min(start + 64, len(pixels)))]
    return max(0, own_memory() - before)


def own_memory() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not say how much memory is a process's own")


def evaluate(folder: Path) -> None:
    least = None
    for model, kind in EVALUATED:
        study = Study.from_dict(
            {
                "name": "preparing",
                "benchmark": {"name": "datasets", "tasks": {"photos": source(folder, kind)}},
                "backbones": {model: {"path": str(folder / model)}},
                "methods": ["finetune"],
                "design": "exhaustive",
                "training": {"steps": 1, "batch_size": 8},
            }
        )
        bench = Workbench(study, "finetune")
        bench.untouched  # noqa: B018 - loads the model and prepares images
        started = time.process_time()
        bench.worker.evaluator.evaluate()
        each = (time.process_time() - started) / TESTED
        least = least or each
        print(
            f"{model:<9} {kind:<8} per second of a processor {1 / each:>9.1f} {each / least:>8.1f}"
        )


if __name__ == "__main__":
    main()
