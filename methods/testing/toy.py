"""A benchmark that a random tiny model learns in seconds: name the colour of a noisy picture.

A study names it by its path, as any benchmark from outside.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from methods.data import Images, Kind, Split, Task
from methods.testing.tiny_models import NAMES, SIZE, VOCABULARY, WORDS, save_clip
from sweep.study.schema import Study
from sweep.tasks.base import Benchmark, BenchmarkConfig, Generator, GeneratorConfig, ReferenceConfig

TOY = "methods.testing.toy:Toy"
"""What studies call it."""

BACKBONES: dict[str, dict[str, Any]] = {
    "clip": {"name": TOY, "num_tasks": 3},
    "llava": {"name": TOY, "num_tasks": 2, "questions": True},
}
"""A tiny backbone of either family, and the toy benchmark in a form that it can read."""
OTHER_KINDS: dict[str, dict[str, Any]] = {
    "clip-pairs": {"name": TOY, "num_tasks": 3, "kinds": ("pairs", "choices")},
    "llava-answers": {"name": TOY, "num_tasks": 2, "kinds": ("answers", "pairs")},
}
"""The same backbones, with tasks of further kinds."""


STEPS = {"steps": 6, "batch_size": 16, "lr": 0.003}
"""How every task is trained."""


class Toy(BenchmarkConfig):
    """Three colours per task, the same three words for other colours in every task."""

    name: str = "toy"
    num_tasks: int = 3
    questions: bool = False
    kinds: tuple[Kind, ...] = ("choices",)
    """Of the tasks in turn."""

    def task_names(self) -> tuple[str, ...]:
        """Returns the first letters of the alphabet."""
        return tuple(NAMES[: self.num_tasks])

    def fingerprint(self) -> str:
        """Returns the options, which are all that the data depend on."""
        return self.model_dump_json()

    def reference(self) -> ReferenceConfig:
        """Plain pictures."""
        return ToyReference()

    def generator(self) -> GeneratorConfig:
        """Brighter copies."""
        return ToyGenerator()

    def load(self) -> Benchmark:
        """Returns all tasks, one held-out suite and one set of captioned images."""
        makers = {"choices": self._task, "pairs": self._pairs, "answers": self._answers}
        tasks = {
            name: makers[self.kinds[i % len(self.kinds)]](name, i)
            for i, name in enumerate(self.task_names())
        }
        first = self._task("a", 0)
        captions = [[f"a {first.choices[label]}"] for label in first.test.labels]
        said = Split.of_captions(first.test.images(np.arange(32)), captions)
        pairs = Task("captions", (), ("{}",), "", said.part(np.arange(0)), said, "pairs", "recall")
        return Benchmark(tasks, {"suite": self._task("f", 99), "captions": pairs})

    def _task(self, name: str, seed: int) -> Task:
        rng = np.random.default_rng(seed)
        colors = rng.integers(0, 255, (len(WORDS), 3))

        def split(count: int) -> Split:
            labels = np.arange(count) % len(WORDS)
            noise = rng.normal(0, 25, (count, SIZE, SIZE, 3))
            pixels = (colors[labels][:, None, None] + noise).clip(0, 255).astype(np.uint8)
            asked = [f"what color is {name} ?"] * count if self.questions else None
            return Split(pixels, labels, asked)

        return Task(name, WORDS, (name + " {}",), "what color ?", split(96), split(32))

    def _pairs(self, name: str, seed: int) -> Task:
        """Two colours side by side; every picture has a caption of both, and one of the left."""
        rng = np.random.default_rng(seed)
        colors = rng.integers(0, 255, (len(WORDS), 3))

        def split(count: int) -> Split:
            halves = rng.integers(0, len(WORDS), (count, 2))
            shown = np.repeat(colors[halves], SIZE // 2, axis=1)[:, None]
            noise = rng.normal(0, 25, (count, SIZE, SIZE, 3))
            pixels = (shown + noise).clip(0, 255).astype(np.uint8)
            captions = [
                (f"{name} {WORDS[left]} {WORDS[right]}", f"{WORDS[left]} {name}")
                for left, right in halves
            ]
            return Split.of_captions(pixels, captions)

        return Task(name, (), ("{}",), "", split(48), split(16), "pairs", "recall")

    def _answers(self, name: str, seed: int) -> Task:
        """The colour, to be written; some people call it otherwise."""
        task = self._task(name, seed)

        def split(known: Split) -> Split:
            words = [WORDS[label] for label in known.labels]
            texts = tuple((word, word, "blue") for word in words)
            asked = tuple(f"what color is {name} ?" for _ in words)
            return Split(known.pictures, np.zeros(len(known), np.int64), asked, texts)

        parts = split(task.train), split(task.test)
        return Task(name, (), ("{}",), "", *parts, "answers", "vqa_accuracy", answer_tokens=3)


class ToyReference(ReferenceConfig):
    """Plain pictures in any colour, called by the words at random."""

    name: str = "toy"

    def fingerprint(self) -> str:
        """Always the same."""
        return "toy"

    def load(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns 40 pictures with a caption each."""
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
        """Returns how many images it draws per task."""
        return f"toy {self.images}"

    def load(self, benchmark: BenchmarkConfig) -> Generator:
        """Returns the function that draws."""

        def draw(task: Task, labels: np.ndarray, seeds: Sequence[int]) -> Images:
            ids = np.array(seeds) // len(WORDS) * len(WORDS) + labels
            pixels = np.asarray(task.train.images(ids % len(task.train)))
            brighter: np.ndarray = np.minimum(pixels.astype(int) + 10, 255).astype(np.uint8)
            return brighter

        return draw


def toy_study(folder: Path, methods: Any = ("finetune",), **changes: Any) -> Study:
    """Returns a study of the toy on a tiny CLIP with random weights.

    Args:
        folder: Where the model is, or will be saved; `tiny_models()` has one.
        methods: As in a study file.
        changes: Sections of the study file to be put in the place of the toy's.
    """
    model = folder / "clip"
    if not model.exists():
        save_clip(model, VOCABULARY)
    content: dict[str, Any] = {
        "name": "toy",
        "benchmark": {"name": TOY},
        "backbones": {"clip": {"path": str(model)}},
        "methods": list(methods) if isinstance(methods, tuple) else methods,
        "design": "exhaustive",
        "training": STEPS,
    }
    return Study.from_dict(content | changes)
