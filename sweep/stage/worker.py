"""Computes units, one after another, in this process: a lane's worker, or the only process."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from accelerate import Accelerator

from methods.base import State
from sweep.cache import CACHE
from sweep.errors import not_ending
from sweep.plan.units import Unit
from sweep.pulse import PULSE
from sweep.stage.evaluator import Evaluator
from sweep.stage.samples import with_fewer_samples
from sweep.stage.steps.checkpoints import Checkpoints
from sweep.stage.trainer import Trainer
from sweep.storage.store import Record
from sweep.study.pinned import Pinned
from sweep.study.schema import MethodEntry, Study
from sweep.tasks.frozen_features import FrozenFeatures

ZERO_SHOT = MethodEntry.model_validate({"method": "zero_shot"})
"""The method of a start unit, which only evaluates."""


@dataclass(frozen=True)
class Result:
    """The result of a unit: its record, the state to continue from, the embeddings."""

    record: Record
    state: State | None
    embeddings: pa.Table | None


class Worker:
    """Holds the benchmark and one backbone with one method at a time."""

    def __init__(
        self,
        study: Study,
        pinned: Pinned,
        accelerator: Accelerator,
        cache: Path = CACHE,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.study = study
        self.pinned = pinned
        self.accelerator = accelerator
        self.cache = cache
        self.checkpoints = checkpoints
        pinned.verify_data(study)
        with not_ending(f"benchmark '{study.benchmark.name}'"):
            self.benchmark = with_fewer_samples(study.benchmark.load(), study.evaluation)
        self.trainer: Trainer
        self.evaluator: Evaluator
        self.loaded: tuple[str, str] | None = None
        """Labels of the backbone and the method in memory."""

    def unload(self) -> None:
        """Releases the backbone and the method in memory, whatever they have come to."""
        if self.loaded:
            del self.trainer, self.evaluator
            # Twice, since Accelerate collects garbage before it drops its own reference.
            self.accelerator.free_memory()
            self.accelerator.free_memory()
        self.loaded = None

    def load(self, unit: Unit) -> None:
        """Loads the backbone and the method of a unit, unless they are in memory."""
        if self.loaded == (unit.backbone, unit.method):
            return
        self.unload()
        entry = self.study.methods[unit.method] if unit.method else ZERO_SHOT
        self.pinned.sources[unit.backbone].verify()
        self.pinned.verify_code(entry.kind)
        self.trainer = Trainer(
            self.study,
            entry,
            self.pinned.sources[unit.backbone],
            self.benchmark,
            self.accelerator,
            self.cache,
        )
        self.evaluator = Evaluator(self.trainer)
        self.loaded = (unit.backbone, unit.method)

    def prepare(self, unit: Unit) -> None:
        """Loads what a unit is computed with, before anything else is done for it.

        Raises:
            ChangedError: this machine has other weights or code than the study was planned with.
            OSError: they cannot be read here.
            EndedError: as `compute`.
        """
        with not_ending(_whose(unit)):
            self.load(unit)

    def _see(self, unit: Unit) -> None:
        """Makes the features of images that a unit needs, side by side with other processes."""
        trainer, evaluator = self.trainer, self.evaluator
        learnt = unit.prefix[-1:] if unit.kind == "train" else ()
        needed = [trainer.training_images(name) for name in learnt]
        if unit.is_evaluated:
            tasks = [task for _, task in evaluator.tasks if not unit.only or task.name in unit.only]
            needed += map(evaluator.samples.images, tasks if trainer.sees_features else ())
        features = [images for images in needed if isinstance(images, FrozenFeatures)]
        # Those that another process is at come last: then they may be there.
        for some in [those for those in features if not those.prepare(waits=False)]:
            some.prepare()

    def compute(
        self, unit: Unit, state_of: Callable[[str], State], is_trained: bool = False
    ) -> Result:
        """Computes a unit.

        With several workers all of them call this together, and all get the same result.

        Args:
            unit: What to compute.
            state_of: Gives the state of a parent by its key.
            is_trained: Whether `state_of` has the state of the unit itself, which then is only
                evaluated.

        Raises:
            EndedError: code that the study names wanted to end the process.
            HandedOverError: the machine is about to vanish.
        """
        with not_ending(_whose(unit)):
            return self._compute(unit, state_of, is_trained)

    def _compute(self, unit: Unit, state_of: Callable[[str], State], is_trained: bool) -> Result:
        started = time.perf_counter()
        seconds: dict[str, float] = {}

        def lap(activity: str) -> None:
            seconds[activity] = time.perf_counter() - started - sum(seconds.values())
            PULSE.beat()

        self.load(unit)
        self._see(unit)
        needed = [state_of(key) for key in ([unit.key] if is_trained else unit.parents)]
        state = None
        if unit.kind == "load":
            state = self.trainer.load(self.pinned.experts[unit.backbone, unit.prefix[0]])
        lap("load")
        if is_trained:
            self.trainer.method.load_state(needed[0])
        elif unit.kind == "train":
            if self.checkpoints:
                self.checkpoints.begin(unit.key)
            state = self.trainer.train(unit, needed[0] if needed else None, self.checkpoints)
            lap("train")
        elif unit.kind == "combine":
            self.trainer.combine(unit, needed)
            lap("combine")
        scores, embeddings = (
            self.evaluator.evaluate(unit.prefix, unit.only) if unit.is_evaluated else ([], None)
        )
        lap("evaluate")
        if self.checkpoints and "train" in seconds:
            seconds["train"] += self.checkpoints.earlier
        record = Record(
            key=unit.key,
            evaluation=unit.evaluation,
            scores=tuple(scores),
            seconds={activity: round(spent, 4) for activity, spent in seconds.items()},
            worker={
                "host": platform.node(),
                "device": str(self.accelerator.device),
                "workers": self.accelerator.num_processes,
                "torch": torch.__version__,
            },
        )
        return Result(record, state, embeddings)


def _whose(unit: Unit) -> str:
    """Returns whose code computes a unit."""
    return f"method '{unit.method}'" if unit.method else "evaluation"
