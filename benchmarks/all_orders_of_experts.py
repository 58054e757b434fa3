"""Runs all orders of tiny experts, which are loaded, and says what that costs.

Usage: python benchmarks/all_orders_of_experts.py --tasks 8 --out /tmp/all-orders

Experts are image towers of a CLIP with 16 px, one layer and width 16, fine-tuned on a task each;
tasks have 24 test images. Everything is evaluated after the last task, and after the others those
tasks that may have been learnt last.

    tasks     runs    units  of TA, TIES  of OPCM, ConDU  computed  report  driver    lane
        5      480      718           31             325     108 s     7 s  0.8 GB  0.6 GB
        6    2,880    4,045           63           1,956     198 s    24 s  0.9 GB  0.6 GB
        7   20,160   27,660          127          13,699     647 s    98 s  1.7 GB  0.6 GB
        8  161,280  219,719          255         109,600   4,363 s   832 s  7.5 GB  0.6 GB

Wall times on two cores that were shared with other work, at a load of 5 to 60; the start of Ray
took 60 to 100 s of each, and from then on two lanes did about 50 units a second. With nothing else
running, six tasks took 92 s, and their report 8 s. The peak of the driver is that of the report;
while it ran all orders of eight tasks it held 1.6 GB. Those wrote 7,698 files, 404 MB. A unit,
combined and evaluated in one process with six tasks, took 13 ms of a core for OPCM and task
arithmetic, 15 ms for TIES and 19 ms for ConDU.
"""

import argparse
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from methods.testing.tiny_models import tokenizer_of
from sweep import Study, make_plan, run
from sweep.cli.report import report as write_report
from sweep.engine.outcomes import Progress

COLORS = ("red", "green", "blue", "grey")
METHODS = ("task_arithmetic", "ties", "opcm", "condu")
SIZE = 16
TOWER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def write_data(root: Path, tasks: list[str], train: int, test: int) -> None:
    """Writes noisy pictures; every task has colours of its own for the same words."""
    for number, task in enumerate(tasks):
        rng = np.random.default_rng(number)
        colors = rng.integers(0, 255, (len(COLORS), 3))
        for split, count in (("train", train), ("test", test)):
            for color, name in zip(colors, COLORS, strict=True):
                folder = root / task / split / name
                folder.mkdir(parents=True, exist_ok=True)
                for i in range(count):
                    noise = rng.normal(0, 50, (SIZE, SIZE, 3))
                    pixels = (color + noise).clip(0, 255).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i:03}.png")


def write_backbone(folder: Path) -> None:
    """Saves a CLIP with random weights: 16 px, one layer, width 16."""
    words = (*COLORS, "a", "photo", "of", ".")
    tokenizer = tokenizer_of(words, "<bos> $A <eos>")
    tokens = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")
    }
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={
            **TOWER,
            **tokens,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
        },
        vision_config={**TOWER, "image_size": SIZE, "patch_size": 8},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SIZE).save_pretrained(folder)


def write_experts(root: Path, backbone: Path, tasks: list[str], steps: int) -> None:
    """Fine-tunes the image tower on every task, as experts on the hub are made."""
    from transformers import AutoTokenizer

    prompts = AutoTokenizer.from_pretrained(backbone)(
        [f"a photo of a {name}." for name in COLORS], return_tensors="pt"
    )
    process = CLIPImageProcessorPil.from_pretrained(backbone)
    for task in tasks:
        clip = CLIPModel.from_pretrained(backbone)
        files = [sorted((root / "data" / task / "train" / name).iterdir()) for name in COLORS]
        images = [Image.open(file) for part in files for file in part]
        labels = torch.tensor([i for i, part in enumerate(files) for _ in part])
        pixels = process(images, return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            texts = normalize(clip.get_text_features(**prompts).pooler_output, dim=-1)
        optimizer = torch.optim.AdamW(clip.vision_model.parameters(), lr=3e-3)
        for _ in range(steps):
            seen = normalize(clip.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
            loss = cross_entropy(clip.logit_scale.exp() * seen @ texts.T, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clip.vision_model.save_pretrained(root / "experts" / task)


def study_of(root: Path, tasks: list[str], methods: list[str], every: int, lanes: int) -> Study:
    return Study.from_dict(
        {
            "name": "all-orders",
            "benchmark": {"name": "folder", "path": str(root / "data"), "tasks": tasks},
            "backbones": {"tiny": {"path": str(root / "clip")}},
            "experts": {"path": str(root / "experts" / "{task}")},
            "methods": methods,
            "design": "exhaustive",
            "evaluation": {"every": every},
            "lanes": {"count": lanes},
        }
    )


class Memory(threading.Thread):
    """Follows the memory of this process and of all that it has started: GB at the most."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, float] = {}
        self.start()

    def run(self) -> None:
        """Looks every two seconds."""
        own = psutil.Process()
        while True:
            found: dict[str, float] = {"all": 0.0, "driver": size(own)}
            for process in own.children(recursive=True):
                with suppress(psutil.Error):
                    title = process.name()
                    kind = "lane" if "RayTrainWorker" in title else title.partition(".")[0]
                    found[kind] = max(found.get(kind, 0.0), size(process))
                    found["all"] += size(process)
            found["all"] += found["driver"]
            for kind, peak in found.items():
                self.peaks[kind] = max(self.peaks.get(kind, 0.0), peak)
            time.sleep(2)


def size(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--every", type=int, help="evaluate everything after so many; default: all")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--train", type=int, default=32, help="training images of a class")
    parser.add_argument("--test", type=int, default=6, help="test images of a class")
    parser.add_argument("--out", type=Path, default=Path("/tmp/all-orders-of-experts"))
    parser.add_argument("--without-report", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    memory = Memory()
    tasks = [f"t{number}" for number in range(1, given.tasks + 1)]
    started = time.monotonic()

    def lap(what: str) -> None:
        nonlocal started
        now = time.monotonic()
        print(f"{what}: {now - started:.1f} s", flush=True)
        started = now

    if not (given.out / "experts" / tasks[-1]).exists():
        write_data(given.out / "data", tasks, given.train, given.test)
        write_backbone(given.out / "clip")
        write_experts(given.out, given.out / "clip", tasks, 150)
        lap("experts trained")
    study = study_of(given.out, tasks, given.methods, given.every or given.tasks, given.lanes)
    plan = make_plan(study)
    counts = plan.counts()
    print(f"{counts['runs']:,} runs of {counts['orders']:,} orders; {plan.stages_sentence()}")
    for method in given.methods:
        keys = {key for run in plan.runs if run.method == method for key in run.stages[1:]}
        print(f"  {method}: {len(keys):,} units computed for {given.tasks} stages of every order")
    lap("planned")
    out = str(given.out / f"run-{given.tasks}")

    def shown(progress: Progress, lanes: int) -> None:
        nonlocal told
        if time.monotonic() - told > 60:
            told = time.monotonic()
            took = told - started
            print(f"  {len(progress.done):,} units after {took:.0f} s", flush=True)

    told = time.monotonic()
    finished = run(plan, out, on_progress=shown)
    lap("computed and written")
    if finished.failed or not finished.is_settled:
        raise SystemExit(f"not finished: {finished.error or finished.failures}")
    files = [file for file in Path(out).rglob("*") if file.is_file()]
    written = sum(file.stat().st_size for file in files) / 2**20
    print(f"{len(files):,} files, {written:.0f} MB")
    if not given.without_report:
        print(write_report(out))
        lap("report")
    print("peak GB:", {kind: round(peak, 2) for kind, peak in sorted(memory.peaks.items())})


if __name__ == "__main__":
    main()
