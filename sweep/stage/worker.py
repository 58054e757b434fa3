"""Computes units, one after another, in this process: a lane's worker, or the only process."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from accelerate import Accelerator

from methods.base import State
from sweep.cache import CACHE
from sweep.plan.units import Unit
from sweep.stage.evaluator import Evaluator
from sweep.stage.trainer import Trainer
from sweep.storage.store import Record
from sweep.study.backbones import Source
from sweep.study.schema import MethodEntry, Study

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
        sources: Mapping[str, Source],
        accelerator: Accelerator,
        cache: Path = CACHE,
    ) -> None:
        self.study = study
        self.sources = sources
        self.accelerator = accelerator
        self.cache = cache
        self.benchmark = study.benchmark.load()
        self.trainer: Trainer
        self.evaluator: Evaluator
        self.loaded: tuple[str, str] | None = None
        """Labels of the backbone and the method in memory."""

    def _load(self, unit: Unit) -> None:
        if self.loaded == (unit.backbone, unit.method):
            return
        if self.loaded:  # release the old model before loading the new one
            del self.trainer, self.evaluator
            # Twice, since Accelerate collects garbage before it drops its own reference.
            self.accelerator.free_memory()
            self.accelerator.free_memory()
        self.loaded = None
        self.sources[unit.backbone].verify()
        self.trainer = Trainer(
            self.study,
            self.study.methods[unit.method] if unit.method else ZERO_SHOT,
            self.sources[unit.backbone],
            self.benchmark,
            self.accelerator,
            self.cache,
        )
        self.evaluator = Evaluator(self.trainer)
        self.loaded = (unit.backbone, unit.method)

    def compute(self, unit: Unit, state_of: Callable[[str], State]) -> Result:
        """Computes a unit; `state_of` gives the state of a parent by its key.

        With several workers all of them call this together, and all get the same result.
        """
        started = time.perf_counter()
        seconds: dict[str, float] = {}

        def lap(activity: str) -> None:
            seconds[activity] = time.perf_counter() - started - sum(seconds.values())

        self._load(unit)
        parents = [state_of(key) for key in unit.parents]
        lap("load")
        state = None
        if unit.kind == "train":
            state = self.trainer.train(unit, parents[0] if parents else None)
            lap("train")
        elif unit.kind == "combine":
            self.trainer.combine(unit, parents)
            lap("combine")
        scores, embeddings = self.evaluator.evaluate() if unit.is_evaluated else ([], None)
        lap("evaluate")
        record = Record(
            key=unit.key,
            scores=tuple(scores),
            seconds={activity: round(spent, 4) for activity, spent in seconds.items()},
            worker={
                "host": platform.node(),
                "device": str(self.accelerator.device),
                "workers": self.accelerator.num_processes,
            },
        )
        return Result(record, state, embeddings)
