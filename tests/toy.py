"""A benchmark that a random tiny model can learn in seconds: name the colour of a noisy picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from methods.data import ArraySplit, Images, Retrieval, Task
from sweep.study.schema import Study
from sweep.tasks import BENCHMARKS
from sweep.tasks.base import Benchmark, BenchmarkConfig, Generator, GeneratorConfig, ReferenceConfig
from tests.models import SIZE, save_clip

WORDS = ("red", "green", "blue")
NAMES = "abcdef"


class Toy(BenchmarkConfig):
    """Three colours per task, the same three words for other colours in every task."""

    name: str = "toy"
    num_tasks: int = 3
    questions: bool = False

    def task_names(self) -> tuple[str, ...]:
        return tuple(NAMES[: self.num_tasks])

    def fingerprint(self) -> str:
        return self.model_dump_json()

    def reference(self) -> ReferenceConfig:
        return ToyReference()

    def generator(self) -> GeneratorConfig:
        return ToyGenerator()

    def load(self) -> Benchmark:
        tasks = {name: self._task(name, i) for i, name in enumerate(self.task_names())}
        first = tasks["a"]
        captions = tuple(f"a {first.choices[label]}" for label in first.test.labels)
        pairs = Retrieval("captions", first.test.images(np.arange(32)), captions)
        return Benchmark(tasks, {"suite": self._task("f", 99)}, {"captions": pairs})

    def _task(self, name: str, seed: int) -> Task:
        rng = np.random.default_rng(seed)
        colors = rng.integers(0, 255, (len(WORDS), 3))

        def split(count: int) -> ArraySplit:
            labels = np.arange(count) % len(WORDS)
            noise = rng.normal(0, 25, (count, SIZE, SIZE, 3))
            pixels = (colors[labels][:, None, None] + noise).clip(0, 255).astype(np.uint8)
            asked = [f"what color is {name} ?"] * count if self.questions else None
            return ArraySplit(pixels, labels, asked)

        return Task(name, WORDS, (name + " {}",), "what color ?", split(96), split(32))


class ToyReference(ReferenceConfig):
    """Plain pictures in any colour, called by the words at random."""

    name: str = "toy"

    def fingerprint(self) -> str:
        return "toy"

    def load(self) -> tuple[np.ndarray, tuple[str, ...]]:
        rng = np.random.default_rng(7)
        pixels = np.repeat(rng.integers(0, 255, (40, 1, 1, 3)), SIZE, axis=1).repeat(SIZE, axis=2)
        words = (*WORDS, *NAMES)
        captions = tuple(" ".join(rng.choice(words, 2)) for _ in pixels)
        return pixels.astype(np.uint8), captions


class ToyGenerator(GeneratorConfig):
    """Copies of training images, a little brighter."""

    name: str = "toy"
    images: int = 24

    def fingerprint(self) -> str:
        return f"toy {self.images}"

    def load(self, benchmark: BenchmarkConfig) -> Generator:
        def draw(task: Task, labels: np.ndarray, seeds: Sequence[int]) -> Images:
            ids = np.array(seeds) // len(WORDS) * len(WORDS) + labels
            pixels = np.asarray(task.train.images(ids % len(task.train.labels)))
            return np.minimum(pixels.astype(int) + 10, 255).astype(np.uint8)

        return draw


BENCHMARKS["toy"] = "tests.toy:Toy"
VOCABULARY = (*WORDS, *NAMES, "what", "color", "is", "?")


def toy_study(folder: Path, methods: Any = ("finetune",), **changes: Any) -> Study:
    """A study of the toy on a tiny CLIP with random weights, kept in `folder`."""
    model = folder / "clip"
    if not model.exists():
        save_clip(model, VOCABULARY)
    content: dict[str, Any] = {
        "name": "toy",
        "benchmark": {"name": "toy"},
        "backbones": {"clip": {"path": str(model)}},
        "methods": list(methods) if isinstance(methods, tuple) else methods,
        "design": "exhaustive",
        "training": {"steps": 6, "batch_size": 16, "lr": 0.003},
    }
    return Study.from_dict(content | changes)
