"""Runs 120 orders x 3 seeds of a ViT-B/16 whose encoder is frozen, and says what that costs.

    python benchmarks/frozen_encoder.py --out /tmp/frozen

A CLIP ViT-B/16 with its real sizes and random weights (150 million parameters, images of 224 px)
meets five tasks of the real pictures that ship. A linear head and RAIL learn them in all orders;
zero-shot answers are evaluated too. What random weights answer means nothing: only costs are
looked at. Where an encoder is frozen, features of images are computed once per machine, and every
stage learns and is evaluated on them. The second run is the same study with other seeds: it finds
the features there.

With 60 images of a split of a task at most, on two cores beside a whole test suite:

    features computed   1,080 runs   1,084 stages   1,435 s
    features found      1,080 runs   1,084 stages     772 s

Of the first, both lanes together spent 1,004 s on loading, features included; of the second, 50 s.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel

from sweep import Study, make_plan, run
from sweep.study.backbones import EMBEDDED

TASKS = ["clothing", "digits", "places", "people", "animals"]
SIZE = 224


def write_backbone(folder: Path) -> None:
    """Saves a CLIP ViT-B/16 with random weights, and the tokenizer of tiny-clip-pictures."""
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED / "tiny-clip-pictures")
    tokens = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")
    }
    config = CLIPConfig(vision_config={"patch_size": 16}, text_config=tokens)  # others: B's sizes
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SIZE).save_pretrained(folder)


def study_of(backbone: Path, seed: int, images: int, lanes: int) -> Study:
    """Returns all orders of five tasks, with three seeds."""
    content: dict[str, Any] = {
        "name": "frozen-encoder",
        "benchmark": {"name": "pictures", "tasks": TASKS, "train": images, "test": images},
        "backbones": {"vit-b-16": {"path": str(backbone)}},
        "methods": {"zero_shot": {}, "frozen_head": {}, "rail": {}},
        "design": "exhaustive",
        "replicates": 3,
        "seed": seed,
        "training": {"steps": 50, "batch_size": 64, "lr": 1e-3},
        "lanes": {"count": lanes},
    }
    return Study.from_dict(content)


def main() -> None:
    """Runs the study twice, with seeds of its own each time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", type=int, default=120, help="of a split of a task, at most")
    parser.add_argument("--lanes", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_backbone(Path(folder))
        for number, what in enumerate(("features computed", "features found")):
            study = study_of(Path(folder), number * 1000, args.images, args.lanes)
            counts = make_plan(study).counts()
            started = time.monotonic()
            run(study, f"{args.out}/{number}")
            seconds = time.monotonic() - started
            runs, stages = counts["runs"], counts["stages"]
            print(f"{what}: {runs} runs, {stages} stages, {seconds:.0f} s", flush=True)
            spent: dict[str, float] = {}
            for file in Path(args.out, str(number), "stages").glob("*/stage*.json"):
                for activity, part in json.loads(file.read_text())["seconds"].items():
                    spent[activity] = spent.get(activity, 0.0) + part
            print({activity: round(part) for activity, part in spent.items()})


if __name__ == "__main__":
    main()
