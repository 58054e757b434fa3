"""Methods that note when they begin a stage, and in which process; nothing else differs."""

import json
import os
import time
from pathlib import Path
from typing import ClassVar

from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Stage
from methods.replay.er import ER, ERConfig


def note(file: str, method: str, stage: Stage) -> None:
    """Appends a line, whole even if several processes write at the same time."""
    facts = {"at": time.time(), "pid": os.getpid(), "method": method, "prefix": stage.prefix}
    with Path(file).open("ab", buffering=0) as notes:
        notes.write(json.dumps(facts).encode() + b"\n")


class NotedFineTuneConfig(FineTuneConfig):
    """Where it is noted."""

    notes: str


class NotedFineTune(FineTune):
    """Fine-tuning."""

    Config = NotedFineTuneConfig
    config: NotedFineTuneConfig
    resumable: ClassVar[bool] = True

    def before_task(self, stage: Stage) -> None:
        """Note the stage."""
        note(self.config.notes, "finetune", stage)
        super().before_task(stage)


class NotedReplayConfig(ERConfig):
    """Where it is noted."""

    notes: str


class NotedReplay(ER):
    """Experience replay."""

    Config = NotedReplayConfig
    config: NotedReplayConfig
    resumable: ClassVar[bool] = True

    def before_task(self, stage: Stage) -> None:
        """Note the stage."""
        note(self.config.notes, "er", stage)
        super().before_task(stage)
