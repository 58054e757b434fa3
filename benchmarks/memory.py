"""Measures the memory of a stage against its closed form, and computes that of large models.

    python benchmarks/memory.py              # measures a CLIP of 369 million parameters: minutes
    python benchmarks/memory.py --computed   # the table for 1 to 8 billion: at once

A stage is trained from the state of another, by the engine's own worker in a process of its own, on
the CPU. Its peak is that of the process's memory, less what the libraries take before a model is
loaded. The closed form, of W parameters of which T are trained, in bytes:

    weights                4 W, or 2 W for those that are frozen where `dtype: bf16`
    moments of AdamW       8 T
    the parent's state     4 T, on the CPU: what the stage was trained from
    gradients and layers   max(4 T, A) if a batch goes through at once, 4 T + A in several parts

In backward gradients appear while what layers have kept, A, goes; in later parts of a batch the
gradients are there from the start. A layer of width h with an MLP of 4 h keeps of every token

    21 h numbers           inputs of norms (2), of projections (1 + 1 + 1), queries, keys, values
                           (3), what attention gives (1), and of the MLP 3 times 4 h

and with `checkpointing` h of every layer and 21 h of one. Left out: what the embeddings, the last
layer and the loss keep.

Measured with 8 samples a step on two cores, beside other work:

    method    trained  micro_batch  checkpointing  measured  closed form  ratio
    finetune  368.7 M            -              -   8.16 GB      7.37 GB   1.11
    finetune  368.7 M            2              -   8.13 GB      7.66 GB   1.06
    finetune  368.7 M            2            yes   7.86 GB      7.40 GB   1.06
    lora        8.8 M            -              -   3.77 GB      2.70 GB   1.39
    lora        8.8 M            2              -   2.66 GB      1.93 GB   1.38
    lora        8.8 M            2            yes   2.23 GB      1.68 GB   1.33

The difference, 0.4 to 1.1 GB, comes in the first steps and stays: buffers of the libraries that
multiply matrices on a CPU, and what the allocator does not give back, as far as was looked.

Computed, for a device, where parents' states do not lie; no device was at hand to measure it:

                                        LoRA of rank 16, frozen weights in bf16, 8 samples
    model           parameters  all, fp32       at once  one by one  with checkpointing
    Qwen2-VL 2B         2.21 B         35          11.7         5.6         4.8
    PaliGemma 3B        2.93 B         47          13.3         7.1         6.3
    LLaVA-1.5 7B        7.07 B        113          42.5        18.3        15.1
    LLaVA-NeXT 8B       8.36 B        134         156.2        34.8        18.7
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
)

from methods.testing.tiny_models import tokenizer_of
from methods.testing.toy import TOY, VOCABULARY, WORDS
from methods.testing.workbench import Workbench
from sweep import Study

GB = 1e9
SIZE, PATCH = 224, 28
VISION = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096}
TEXT = {"hidden_size": 512, "num_hidden_layers": 12, "intermediate_size": 2048}
BATCH, PART = 8, 2
OPTIONS = [
    {},
    {"micro_batch": PART},
    {"micro_batch": PART, "checkpointing": True},
]
METHODS: dict[str, dict[str, Any]] = {"finetune": {}, "lora": {"rank": 16}}
TEXTS = 8 * len(WORDS)
"""Tokens of the texts of all choices."""
KEPT = 21
"""Numbers of a token that a layer keeps for the backward pass, by its width."""


@dataclass(frozen=True)
class Tower:
    """A stack of transformer layers."""

    layers: int
    width: int
    tokens: int
    """Of one sample, or of all texts."""

    def kept(self, samples: int, checkpointing: bool) -> int:
        """Returns the bytes that the layers keep for the backward pass."""
        widths = self.layers + KEPT if checkpointing else KEPT * self.layers
        return 4 * samples * self.tokens * self.width * widths


def predicted(
    frozen: int, trained: int, training: dict[str, Any], vision: Tower, text: Tower
) -> int:
    """Returns the peak of a stage in bytes, by the closed form above."""
    part = training.get("micro_batch", BATCH)
    checkpointing = training.get("checkpointing", False)
    kept = vision.kept(part, checkpointing) + text.kept(1, checkpointing)
    gradients = 4 * trained
    in_backward = gradients + kept if part < BATCH else max(gradients, kept)
    return 4 * (frozen + trained) + 8 * trained + 4 * trained + in_backward


def save_model(folder: Path) -> None:
    """Saves a CLIP with random weights and 369 million parameters."""
    heads = {"num_attention_heads": 16, "projection_dim": 512}
    config = CLIPConfig(
        vision_config=CLIPVisionConfig(**VISION, **heads, image_size=SIZE, patch_size=PATCH),
        text_config=CLIPTextConfig(**TEXT, **heads | {"num_attention_heads": 8}, eos_token_id=3),
        projection_dim=512,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer_of(VOCABULARY, "<bos> $A <eos>").save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    CLIPImageProcessorPil(size=size, crop_size=size).save_pretrained(folder)


@contextmanager
def peak() -> Iterator[list[int]]:
    """Gives the largest memory of this process inside, in bytes, once it is over."""
    found, over = [resident()], threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            found[0] = max(found[0], resident())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def resident() -> int:
    """Returns the bytes of memory of this process: its own, and of files that it reads by pages.

    Frozen weights are such pages of the model's file, which the workers of a machine share.
    """
    return psutil.Process().memory_info().rss


def measure(folder: Path, method: str, training: dict[str, Any]) -> dict[str, float]:
    """Returns the measured and the predicted peak of a second stage, in bytes."""
    study = Study.from_dict(
        {
            "name": "memory",
            "benchmark": {"name": TOY, "num_tasks": 2},
            "backbones": {"clip": {"path": str(folder)}},
            "methods": {method: METHODS[method]},
            "training": {"steps": 2, "batch_size": BATCH, "lr": 1e-5, **training},
            "lanes": {"cpus_per_worker": 2},
        }
    )
    bench = Workbench(study, method)
    before = resident()
    second = replace(bench.trainings(("a", "b"))[-1], evaluation="")
    bench.worker.load(second)
    state = bench.worker.trainer.method.state()
    with peak() as highest:
        bench.worker.compute(second, lambda _: state)
    weights = dict(bench.worker.trainer.method.named_parameters())
    trained = sum(w.numel() for w in weights.values() if w.requires_grad)
    every = sum(w.numel() for w in weights.values())
    vision = Tower(VISION["num_hidden_layers"], VISION["hidden_size"], (SIZE // PATCH) ** 2 + 1)
    text = Tower(TEXT["num_hidden_layers"], TEXT["hidden_size"], TEXTS)
    expected = predicted(every - trained, trained, training, vision, text)
    return {"measured": highest[0] - before, "expected": expected, "trained": trained}


@dataclass(frozen=True)
class Large:
    """A fusion model by its sizes, as in its config.json."""

    layers: int
    width: int
    mlp: int
    grouped: float
    """Width of keys and of values, by that of the layer."""
    vocabulary: int
    rest: float
    """Parameters of vision tower and projector."""
    tokens: int
    """Of an image, a question and an answer."""
    tied: bool = False
    """Whether the output layer is the table of tokens."""

    @property
    def shapes(self) -> list[tuple[float, float]]:
        """The projections of a layer, as inputs and outputs."""
        h, kv = self.width, self.grouped * self.width
        return [(h, h), (h, kv), (h, kv), (h, h), (h, self.mlp), (h, self.mlp), (self.mlp, h)]

    @property
    def parameters(self) -> float:
        """All of them."""
        layer = sum(a * b for a, b in self.shapes)
        tables = self.vocabulary * self.width * (1 if self.tied else 2)
        return self.layers * layer + tables + self.rest

    def adapter(self, rank: int) -> float:
        """Returns the parameters of LoRA on all projections of the language model."""
        return self.layers * sum(rank * (a + b) for a, b in self.shapes)

    def kept(self, samples: int, checkpointing: bool) -> float:
        """Returns the bytes that layers keep for the backward pass, in bf16 where they compute."""
        h = self.width
        # Two norms in single precision; inputs of projections, attention, and the gated MLP.
        layer = 2 * 4 * h + 2 * (h * (3 + 2 * self.grouped) + h + 4 * self.mlp)
        once = layer + self.layers * 2 * h if checkpointing else self.layers * layer
        logits = 4 * 2 * self.vocabulary * ANSWER
        return samples * (self.tokens * once + logits)


ANSWER = 8
"""Tokens of an answer."""
LARGE = {
    "Qwen2-VL 2B": Large(28, 1536, 8960, 1 / 6, 151936, 0.67e9, 320, tied=True),
    "PaliGemma 3B": Large(18, 2048, 16384, 1 / 8, 257216, 0.42e9, 300, tied=True),
    "LLaVA-1.5 7B": Large(32, 4096, 11008, 1.0, 32064, 0.33e9, 640),
    "LLaVA-NeXT 8B": Large(32, 4096, 14336, 1 / 4, 128320, 0.33e9, 2944),
}


def computed() -> None:
    """Prints what stages of large models take on a device, in GB; parents' states are not there."""
    print("                                    LoRA of rank 16, frozen weights in bf16, 8 samples")
    print("model           parameters  all, fp32       at once  one by one  with checkpointing")
    for name, model in LARGE.items():
        whole = 16 * model.parameters
        adapter = model.adapter(16)
        held = 2 * model.parameters + 12 * adapter
        columns = (
            held + max(4 * adapter, model.kept(BATCH, False)),
            held + 4 * adapter + model.kept(1, False),
            held + 4 * adapter + model.kept(1, True),
        )
        cells = "".join(f"{value / GB:12.1f}" for value in columns)
        print(f"{name:14s} {model.parameters / GB:9.2f} B {whole / GB:10.0f}  {cells}")


def main() -> None:
    """Measures every configuration in a process of its own, or computes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--computed", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "METHOD", "TRAINING"))
    args = parser.parse_args()
    if args.computed:
        computed()
        return
    if args.one:
        folder, method, training = args.one
        print(json.dumps(measure(Path(folder), method, json.loads(training))))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "clip"
        save_model(model)
        print("method    trained  micro_batch  checkpointing  measured  closed form  ratio")
        for method in METHODS:
            for training in OPTIONS:
                command = [sys.executable, __file__, "--one", str(model), method]
                run = subprocess.run(
                    [*command, json.dumps(training)], check=True, capture_output=True, text=True
                )
                found = json.loads(run.stdout.splitlines()[-1])
                measured, expected = found["measured"], found["expected"]
                print(
                    f"{method:9s} {found['trained'] / 1e6:5.1f} M"
                    f"  {training.get('micro_batch') or '-':>11}"
                    f"  {'yes' if 'checkpointing' in training else '-':>13}"
                    f"  {measured / GB:5.2f} GB  {expected / GB:8.2f} GB"
                    f"  {measured / expected:5.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
