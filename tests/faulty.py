"""Methods with faults, named in studies as tests.faulty:Class."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from methods.base import State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Stage
from methods.merging.task_arithmetic import TaskArithmetic
from methods.merging.task_vectors import TaskVectors, Vector
from methods.testing.toy import Toy
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import Scores, score
from sweep.study import backbones
from sweep.tasks.base import Benchmark


class FailsOnB(FineTune):
    """Cannot learn task b after task a."""

    def before_task(self, stage: Stage) -> None:
        """Fail where the prefix is a, b."""
        if stage.prefix == ("a", "b"):
            raise RuntimeError("b does not go after a")


class CannotOpen(FineTune):
    """Fails in two lines, with brackets."""

    def before_task(self, stage: Stage) -> None:
        """Fail in the second stage of one order and the third of another."""
        if stage.prefix in (("a", "b"), ("c", "b", "a")):
            raise RuntimeError("cannot open [/data/alpha/7.jpg], wanted [batch, dim]\nsecond line")


class LeavesConfig(FineTuneConfig):
    """How to leave."""

    how: str = Field(default="exit", description="exit or interrupt.")


class Leaves(FineTune):
    """Ends its process in the second stage."""

    Config = LeavesConfig
    config: LeavesConfig

    def before_task(self, stage: Stage) -> None:
        """Leave."""
        if len(stage.prefix) == 2:
            if self.config.how == "interrupt":
                raise KeyboardInterrupt
            sys.exit("no data left")


class CountsConfig(FineTuneConfig):
    """What is no tensor."""

    where: str = Field(default="extra", description="extra, whole, name or state.")
    early: bool = Field(default=False, description="From the start, not once it has learnt.")


class Counts(FineTune):
    """Keeps a number that is no tensor once it has learnt a task."""

    Config = CountsConfig
    config: CountsConfig
    learnt = 0

    def after_task(self, stage: Stage) -> None:
        """Count."""
        self.learnt += 1

    def extra_state(self) -> State:
        """A number; or a list; or a tensor without a name."""
        others: dict[str, Any] = {
            "extra": {"learnt": self.learnt}, "whole": [self.learnt], "name": {1: torch.ones(1)}
        }  # fmt: skip
        return others.get(self.config.where, {}) if self.learnt or self.config.early else {}

    def state(self) -> State:
        """A number beside the weights."""
        others: Any = {"learnt": self.learnt} if self.config.where == "state" else {}
        return super().state() | (others if self.learnt or self.config.early else {})


class HangsConfig(FineTuneConfig):
    """Where it is noted that it has hung."""

    notes: str


class Hangs(FineTune):
    """Goes on for ever in one stage, and stops its process in another, once each."""

    Config = HangsConfig
    config: HangsConfig

    def before_task(self, stage: Stage) -> None:
        """Hang where the prefix is a, and where it is a, b."""
        note = Path(self.config.notes) / "-".join(stage.prefix)
        if len(stage.prefix) > 2 or note.exists():
            return
        note.touch()
        if len(stage.prefix) == 2:
            os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            time.sleep(0.01)


class SpoilsConfig(FineTuneConfig):
    """What is spoilt when task b has been learnt."""

    value: str = "nan"
    what: str = Field(default="weight", description="weight, extra, buffer or mask.")


class Spoils(FineTune):
    """Leaves a value that is not finite after task b."""

    Config = SpoilsConfig
    config: SpoilsConfig
    mask: torch.Tensor
    mean: torch.Tensor

    def build(self) -> None:
        """A memory; a mask of infinities, which are as they should be; and a buffer."""
        super().build()
        self.memory = torch.zeros(3)
        self.register_buffer("mask", torch.full((2,), -torch.inf))
        self.register_buffer("mean", torch.zeros(2))

    def extra_state(self) -> State:
        """The memory and, in half the precision, the mean."""
        return {"memory": self.memory, "mean": self.mean.bfloat16()}

    def after_task(self, stage: Stage) -> None:
        """Spoil one value."""
        if stage.task != "b":
            return
        weight = dict(self.named_parameters())[self.trainable()[0]]
        spoilt = {"weight": weight, "extra": self.memory, "buffer": self.mean, "mask": self.mask}
        with torch.no_grad():
            spoilt[self.config.what].view(-1)[0] = float(self.config.value)


class CombinesToNaN(TaskArithmetic):
    """Divides zero by zero when two states are combined."""

    def merge(self, vectors: TaskVectors) -> Vector:
        """The mean over no task, once there are two."""
        merged = super().merge(vectors)
        two = any(len(taus) == 2 for taus in vectors.values())
        return {weight: tau * (torch.nan if two else 1) for weight, tau in merged.items()}


class Undefined(Diagnostic):
    """A score that is not there."""

    def of_tasks(self, given: Mapping[str, torch.Tensor]) -> Scores:
        """Zero divided by zero."""
        return [score("mine", name, "share", float("nan"), 1) for name in given]


class Blown(Diagnostic):
    """An embedding that is not finite."""

    def embeddings(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """One of one value."""
        row = {"modality": "image", "sample": 0, "choice": 0, "vector": [1.0, float("inf")]}
        return [{"eval_task": name} | row for name in names]


class NotesConfig(FineTuneConfig):
    """Where each step is noted."""

    notes: str
    seconds: float = Field(default=0.0, ge=0, description="How long a step takes at least.")


class Notes(FineTune):
    """Notes every step with the process that does it, and what it has met in the stage so far."""

    Config = NotesConfig
    config: NotesConfig
    resumable = True

    def before_task(self, stage: Stage) -> None:
        """Begin to count."""
        self.prefix, self.met = ">".join(stage.prefix), 0

    def after_step(self) -> None:
        """Count, and write it down."""
        self.met += 1
        with Path(self.config.notes).open("a") as notes:
            notes.write(f"{self.prefix} {self.met} {os.getpid()}\n")
        if not Path(f"{self.config.notes}.hurry").exists():
            time.sleep(self.config.seconds)

    def step_state(self) -> State:
        """The count."""
        return {"met": torch.tensor(self.met)}

    def load_step_state(self, state: State) -> None:
        """Go on counting."""
        self.met = int(state["met"])


class Sums(FineTune):
    """Pulls weights towards their mean over the stage, and does not say that it keeps a sum."""

    def before_task(self, stage: Stage) -> None:
        """Begin the sum."""
        self.sum, self.count = 0.0, 0

    def after_step(self) -> None:
        """Let the sum count in the weights."""
        weight = next(w for w in self.parameters() if w.requires_grad)
        self.sum, self.count = self.sum + float(weight.detach().sum()), self.count + 1
        with torch.no_grad():
            weight.add_(1e-3 * self.sum / self.count)


class SaysSo(Sums):
    """Claims what is not true."""

    resumable = True


class Elsewhere(Toy):
    """The toy, on machines of which some are not as they should be: FAULT says how."""

    name: str = "elsewhere"
    notes: str
    """Where it is noted what has happened."""

    def load(self) -> Benchmark:
        """Act as the machine that this is."""
        fault, notes = os.environ.get("FAULT"), Path(self.notes)
        if fault:
            (notes / f"{fault}-{time.time_ns()}").touch()
        if fault == "data":
            raise FileNotFoundError("there is no folder data/toy")
        if fault == "device":
            raise RuntimeError("CUDA error: unspecified launch failure")
        if fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "weights":
            backbones.digest = lambda folder: "other files"  # in this process alone
        if fault == "waits" and not (notes / "waited").exists():
            for other in ("device", "dies"):
                while len(list(notes.glob(f"{other}-*"))) < 3:
                    time.sleep(0.1)
            time.sleep(10)  # until Ray has noticed
            (notes / "waited").touch()
        return super().load()


class MeetsConfig(FineTuneConfig):
    """Files that say that it has begun, and that it may go on."""

    mine: str
    others: str


class Meets(FineTune):
    """Learns only once others have put a file there, such as another study that is at work."""

    Config = MeetsConfig
    config: MeetsConfig

    def before_task(self, stage: Stage) -> None:
        """Wait for the file."""
        Path(self.config.mine).touch()
        deadline = time.monotonic() + 500
        while not Path(self.config.others).exists():
            if time.monotonic() > deadline:
                raise ValueError(f"there is no {self.config.others}")
            time.sleep(0.1)
