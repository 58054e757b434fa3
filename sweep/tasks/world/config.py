"""Defines the `benchmark:` sections that render their tasks."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field, field_validator, model_validator

from methods.data import Images, Task
from methods.seeds import derive_seed
from sweep.errors import InputError, unknown
from sweep.tasks.base import (
    Benchmark,
    BenchmarkConfig,
    Generator,
    GeneratorConfig,
    ReferenceConfig,
    TaskFingerprint,
)
from sweep.tasks.world.corpus import captioned
from sweep.tasks.world.dial import NOUNS, STYLES, dialled
from sweep.tasks.world.recipes import BLOBS, SUITES, TASKS, Recipe
from sweep.tasks.world.tasks import CAPTIONS, captioned_pictures, make_task, picture, probes
from sweep.tasks.written_classes import ClassBenchmarkConfig

WORLD_VERSION = 1
"""Part of every fingerprint: raise it when a pixel, a choice or a prompt changes."""

_KNOWN: Mapping[str, Recipe] = TASKS | {"blobs": BLOBS}


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class Rendered(ClassBenchmarkConfig):
    """Tasks about pictures that are rendered on demand."""

    train: int = Field(default=1024, ge=1, description="Training images of every task.")
    test: int = Field(default=200, ge=1, description="Test images of every task and suite.")
    seed: int = Field(default=0, description="Another seed renders other images.")

    @abstractmethod
    def recipes(self) -> Mapping[str, Recipe]:
        """Returns how to render each of the tasks."""

    def task_names(self) -> tuple[str, ...]:
        """Returns the tasks; renders nothing."""
        return tuple(self.recipes())

    def fingerprint(self) -> str:
        """Returns the SHA-256 of what identifies the tasks, the suites and the pairs."""
        return _digest(sorted(self.fingerprints().items()))

    def fingerprints(self) -> Mapping[str, TaskFingerprint]:
        """Identifies every task by all that its pixels and prompts depend on."""
        settings = sorted(self.model_dump(exclude={"tasks", "train", "test", "kind"}).items())
        tasks = {
            name: TaskFingerprint(
                train=_digest(WORLD_VERSION, settings, name, "train", self.train),
                test=_digest(WORLD_VERSION, settings, name, "test", self.test),
            )
            for name in self.task_names()
        }
        suites = {name: _digest(WORLD_VERSION, name, self.test, self.seed) for name in SUITES}
        tasks |= {name: TaskFingerprint(digest, digest) for name, digest in suites.items()}
        pairs = _digest(WORLD_VERSION, CAPTIONS, self.seed)
        return self.identified(tasks) | {CAPTIONS: TaskFingerprint(pairs, pairs)}

    def reference(self) -> ReferenceConfig:
        """Returns generic captions of the world."""
        return Captions()

    def generator(self) -> GeneratorConfig:
        """Returns the renderer itself."""
        return Renderer()

    def load(self) -> Benchmark:
        """Renders the tasks, the held-out suites and the image-caption pairs."""
        tasks = {
            name: make_task(name, recipe, self.train, self.test, self.seed)
            for name, recipe in self.recipes().items()
        }
        suites = self.posed(probes(self.test, self.seed))
        return Benchmark(self.posed(tasks), {**suites, CAPTIONS: captioned_pictures(self.seed)})

    def outline(self) -> Benchmark:
        """Renders one image of every split."""
        return self.model_copy(update={"train": 1, "test": 1}).load()


class Captions(ReferenceConfig):
    """Rendered pictures of everything in the world with generic captions."""

    name: str = "captions"
    size: int = Field(default=1000, ge=1, description="Image-caption pairs.")
    seed: int = Field(default=0, description="Another seed renders other pairs.")

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all that the pairs depend on."""
        return _digest(WORLD_VERSION, self.name, self.size, self.seed)

    def load(self) -> tuple[Images, tuple[str, ...]]:
        """Renders the pairs."""
        pixels, captions = captioned(self.size, derive_seed(self.seed, "reference"))
        return pixels, tuple(captions)


class Renderer(GeneratorConfig):
    """Images from the world's own renderer, which always show the right choice."""

    name: str = "renderer"
    seed: int = Field(default=0, description="Another seed renders other images.")

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all that images depend on besides their task."""
        return _digest(WORLD_VERSION, self.name, self.images, self.seed)

    def check_draws_for(self, benchmark: BenchmarkConfig) -> None:
        """Refuses benchmarks that are not rendered."""
        if not isinstance(benchmark, Rendered):
            raise InputError(
                "generator 'renderer' draws for the benchmarks 'world' and 'dial' only; "
                "'diffusers' draws for any benchmark."
            )

    def load(self, benchmark: BenchmarkConfig) -> Generator:
        """Returns a function that renders as the benchmark does, from other seeds."""
        assert isinstance(benchmark, Rendered)
        recipes = benchmark.recipes()

        def draw(task: Task, labels: np.ndarray, seeds: Sequence[int]) -> Images:
            own = [derive_seed(self.seed, "synthetic", task.name, seed) for seed in seeds]
            return picture(recipes[task.name], labels, own)

        return draw


class World(Rendered):
    """Eleven tasks about small rendered pictures: shapes, counts, relations, ...; no download."""

    name: str = "world"
    tasks: tuple[str, ...] | None = Field(
        default=None, description=f"Some of {', '.join(_KNOWN)}; null: all but blobs."
    )

    @field_validator("tasks")
    @classmethod
    def _known_and_once(cls, tasks: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in tasks or ():
            if name not in _KNOWN:
                raise unknown("task", name, _KNOWN)
        if tasks is not None and (not tasks or len(set(tasks)) < len(tasks)):
            raise InputError(f"tasks: got {list(tasks)}; give one or more, each named once.")
        return tasks

    def recipes(self) -> Mapping[str, Recipe]:
        """Returns the recipes of the chosen tasks, in the order given."""
        return {name: _KNOWN[name] for name in self.tasks or TASKS}


class Dial(Rendered):
    """Tasks with a chosen similarity: they share nothing at 0, everything at 1."""

    name: str = "dial"
    similarity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The share of classes, and of images in one style, common to all tasks.",
    )
    num_tasks: int = Field(default=5, ge=2, lt=len(STYLES), description="How many tasks.")
    classes: int = Field(default=6, ge=2, description="Classes of every task.")

    @model_validator(mode="after")
    def _enough_nouns(self) -> "Dial":
        if self.num_tasks * self.classes > len(NOUNS):
            raise InputError(
                f"num_tasks {self.num_tasks} times classes {self.classes} is "
                f"{self.num_tasks * self.classes}; at most {len(NOUNS)} classes exist."
            )
        return self

    def recipes(self) -> Mapping[str, Recipe]:
        """Returns tasks dial1, dial2, ... that differ in what they do not share."""
        return dialled(self.num_tasks, self.classes, self.similarity, self.seed)
